import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { EvaluationMetrics, StepMetrics } from '#dist/train/metrics.js';
import { readRunConfig, RunDirectory } from '#dist/train/run-directory.js';

function line(step: number): StepMetrics {
  return {
    step,
    epoch: 0,
    timeMs: 1e12 + step,
    loss: 1 / step,
    terms: {},
    lr: 0.1,
    imagesPerSecond: 1,
    dataWaitMs: 0,
    stepMs: 1,
    rssBytes: 1e9,
    queues: { compressed: 64, decoding: 1, decoded: 2, full: 3 },
    featureStd: 0.1,
  };
}

function evaluation(step: number): EvaluationMetrics {
  return { step, epoch: 0, timeMs: 1e12 + step, knnTop1: 0.5, knnTop1ByStage: { res5: 0.5 } };
}

describe('run directory', () => {
  let parent = '';
  let path = '';
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'detco-run-'));
    path = join(parent, 'a', 'run');
  });
  afterEach(() => rm(parent, { recursive: true }));

  const metrics = async () =>
    (await readFile(join(path, 'metrics.jsonl'), 'utf8')).split('\n').flatMap((text) => (text === '' ? [] : [JSON.parse(text) as unknown]));

  test('keeps the options and every line', async () => {
    const run = await RunDirectory.create(path, { batch: 4 });
    run.appendMetrics(evaluation(0));
    run.appendMetrics(line(1));
    await run.close();
    expect(await readRunConfig(path)).toEqual({ batch: 4 });
    expect(await metrics()).toEqual([evaluation(0), line(1)]);
  });

  test('is refused when it holds another run, saying what to do', async () => {
    await (await RunDirectory.create(path, {})).close();
    await expect(RunDirectory.create(path, {})).rejects.toThrow(
      `"${path}" already holds a run (config.json): continue it with --resume ${path}, or choose another --out`,
    );
  });

  test('is begun anew when it made no update, and only then', async () => {
    const options = { engineDescription: 'wasm', batch: 4 };
    const run = await RunDirectory.create(path, options);
    run.appendMetrics(evaluation(0));
    await run.close();
    await mkdir(join(path, 'checkpoints', 'step-0'), { recursive: true });
    const again = await RunDirectory.create(path, { ...options, batch: 8 });
    expect(await readRunConfig(path)).toMatchObject({ batch: 8 });
    expect((await readdir(path)).filter((name) => name === 'metrics.jsonl' || name === 'checkpoints')).toEqual([]);
    again.appendMetrics(line(1));
    await again.close();
    await expect(RunDirectory.create(path, options)).rejects.toThrow(`"${path}" already holds a run (config.json, metrics.jsonl)`);
  });

  // A copy may have made a folder of the link `last`, and left out the rest.
  test.each([join('checkpoints', 'step-1'), join('checkpoints', 'weights'), 'last'])(
    'is refused for a checkpoint %s alone',
    async (name) => {
      await (await RunDirectory.create(path, { engineDescription: 'wasm' })).close();
      await mkdir(join(path, name), { recursive: true });
      await expect(RunDirectory.create(path, {})).rejects.toThrow(`"${path}" already holds a run (`);
      expect((await stat(join(path, name))).isDirectory()).toBe(true);
    },
  );

  test('is refused when it is a file', async () => {
    const file = join(parent, 'file');
    await writeFile(file, '');
    await expect(RunDirectory.create(file, {})).rejects.toThrow(`expected a folder, and "${file}" is a file`);
  });

  test('cannot be resumed when it is no run', async () => {
    await expect(readRunConfig(parent)).rejects.toThrow(
      `"${parent}" is not a run that can be resumed: cannot read ${join(parent, 'config.json')}; give --resume the folder that an earlier --out made, or begin the run again if it ended before it wrote that file`,
    );
  });

  test.each(['null', '[1]', '"text"'])('cannot be resumed when its config.json is %s', async (content) => {
    await writeFile(join(parent, 'config.json'), content);
    await expect(readRunConfig(parent)).rejects.toThrow(`${join(parent, 'config.json')} is damaged (${content} is no object): it holds`);
  });

  /** A run that goes on after `step` updates. */
  const resumed = async (step: number) => {
    const run = await RunDirectory.open(path);
    await run.continueAfter(step);
    return run;
  };

  test('keeps what was logged after the checkpoint until one of its own is complete, a torn last line excepted', async () => {
    const run = await RunDirectory.create(path, {});
    for (const step of [1, 2, 3, 4]) run.appendMetrics(line(step));
    await run.close();
    await writeFile(join(path, 'metrics.jsonl'), '{"step": 5, "lo', { flag: 'a' });

    const again = await resumed(2);
    again.appendMetrics(line(3));
    expect(await metrics()).toEqual([line(1), line(2), line(3), line(4), line(3)]);
    await again.settle();
    expect(await metrics()).toEqual([line(1), line(2), line(3)]);
    again.appendMetrics(line(4));
    await again.settle();
    await again.close();
    expect(await metrics()).toEqual([line(1), line(2), line(3), line(4)]);
  });

  test('killed between its checkpoint and its log, has a line a step after the next', async () => {
    const slow = (step: number) => ({ ...line(step), stepMs: 9 });
    const run = await RunDirectory.create(path, {});
    for (const step of [1, 2, 3, 4, 5]) run.appendMetrics(line(step));
    await run.close();
    const killed = await resumed(2);
    for (const step of [3, 4]) killed.appendMetrics(slow(step));
    killed.appendMetrics(evaluation(4));
    await killed.close();

    const again = await resumed(4);
    again.appendMetrics(line(5));
    await again.settle();
    await again.close();
    expect(await metrics()).toEqual([line(1), line(2), slow(3), slow(4), evaluation(4), line(5)]);
  });

  test('does not touch a log in which nothing is made again', async () => {
    const run = await RunDirectory.create(path, {});
    for (const entry of [line(1), evaluation(1)]) run.appendMetrics(entry);
    await run.close();
    const { ino } = await stat(join(path, 'metrics.jsonl'));
    const again = await resumed(1);
    again.appendMetrics(line(2));
    await again.settle();
    await again.close();
    expect((await stat(join(path, 'metrics.jsonl'))).ino).toBe(ino);
    expect(await metrics()).toEqual([line(1), evaluation(1), line(2)]);
  });

  test('notes a bad sample once, however often it is met', async () => {
    const bad = { shard: 'a.tar', key: 'x', offset: 512, reason: 'truncated', epoch: 0 };
    const run = await RunDirectory.create(path, {});
    run.appendBadSample(bad);
    run.appendBadSample({ ...bad });
    await run.close();
    const again = await resumed(0);
    again.appendBadSample(bad);
    again.appendBadSample({ ...bad, epoch: 1 });
    await again.close();
    const lines = (await readFile(join(path, 'bad-samples.jsonl'), 'utf8')).trim().split('\n');
    expect(lines.map((text) => JSON.parse(text) as unknown)).toEqual([bad, { ...bad, epoch: 1 }]);
  });

  test('says which log could not be written on a full disk', async () => {
    const run = await RunDirectory.create(path, {});
    await symlink('/dev/full', join(path, 'metrics.jsonl'));
    expect(() => run.appendMetrics(line(1))).toThrow(
      `No space left to append to ${join(path, 'metrics.jsonl')}: free some space and continue with --resume ${path}`,
    );
    await run.close();
  });
});
