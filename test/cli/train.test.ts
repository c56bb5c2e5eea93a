/** `detco train` as a user runs it: real processes, real signals, the wasm engine. */
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { RunDirectory } from '#dist/train/run-directory.js';
import { loadCheckpoint } from '#dist/train/checkpoint.js';
import { writeTestShards } from '../support/shards.js';
import { expectSameTensors } from '../support/checkpoints.js';
import { clocklessLines, metricsLines } from '../support/metrics.js';
import { detco } from './detco.js';

// A dozen processes, each loading TensorFlow.js, on whatever machine runs the tests.
jest.setTimeout(300_000);

const BATCH = 8;
const STEPS = 12;
/** 48 samples: six steps an epoch. */
const CONFIG = `
preset: tiny
engine: wasm
batch: ${BATCH}
epochs: 2
lr: 0.1
method: { width: 4, dim: 8, queueSize: 64, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
checkpointEvery: 4
keepCheckpoints: 9
lanes: 4
shuffle: 8
`;

interface Line {
  readonly step: number;
  readonly epoch: number;
  readonly loss?: number;
  readonly knnTop1?: number;
}

/** Lines of metrics.jsonl without what a clock put there. */
const metrics = (run: string) => clocklessLines<Line>(run);

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

describe('detco train', () => {
  let folder = '';
  let whole = '';
  /** Before and after the whole run, in milliseconds since 1970. */
  let spanMs: readonly number[] = [];
  let arguments_: string[] = [];
  const run = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-train-'));
    const config = join(folder, 'config.yaml');
    await writeFile(config, CONFIG);
    const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12, 12, 12] });
    await writeTestShards(join(folder, 'val'), { counts: [8], seed: 1 });
    await writeTestShards(join(folder, 'other'), { counts: [12, 12, 12, 12], seed: 2 });
    arguments_ = ['train', '--config', config, '--shards', ...shards, '--val-shards', join(folder, 'val', '*.tar')];
    whole = run('whole');
    const began = Date.now();
    const { code, stdout, stderr } = await detco([...arguments_, '--out', whole, '--json']);
    spanMs = [began, Date.now()];
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(stderr).toContain('warning: queueSize 64 is more than the 48 images of an epoch');
    expect(JSON.parse(stdout)).toMatchObject({ finished: true, step: STEPS, run: whole, engine: 'wasm' });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** A run is the uninterrupted one: the same losses, and the same bytes in the last checkpoint. */
  async function expectWhole(path: string): Promise<void> {
    expect(await metrics(path)).toEqual(await metrics(whole));
    await expectSameTensors(path, whole);
  }

  test('logs every step, and evaluations from step 0 on', async () => {
    const lines = await metrics(whole);
    expect(lines.flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    expect(lines.flatMap(({ step, knnTop1 }) => (knnTop1 === undefined ? [] : [step]))).toEqual([0, STEPS]);
    expect(lines.find(({ loss }) => loss !== undefined)).toMatchObject({
      epoch: 0,
      terms: { 'gg.res2': expect.any(Number), 'gl.res5': expect.any(Number), 'll.res4': expect.any(Number) },
    });
    expect((await readdir(join(whole, 'checkpoints'))).toSorted()).toEqual(['step-0', 'step-12', 'step-4', 'step-6', 'step-8']);
    // One of each shard, for the next resume.
    expect(await readdir(join(whole, 'index'))).toHaveLength(4);
  });

  test('says of every line when it was made', async () => {
    const lines = await metricsLines<{ readonly timeMs: number }>(whole);
    const [began = NaN, ended = NaN] = spanMs;
    const times = [began, ...lines.map(({ timeMs }) => timeMs), ended];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.every(Number.isInteger)).toBe(true);
  });

  test('with a device that decodes no JPEGs: says what would, and leaves nothing', async () => {
    const left = run('decoding');
    const { code, stderr } = await detco([...arguments_, '--augment', 'device', '--decode', 'device', '--out', left]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining(
        'detco: decode device: engine wasm decodes no JPEGs; use engine torch on an NVIDIA GPU, or leave --decode out',
      ),
    });
    expect(await exists(left)).toBe(false);
  });

  test('with the engine finishing the views: warned of on a CPU, and killed it continues as if nothing had been', async () => {
    const [path, uncut] = [run('device-killed'), run('device')];
    const args = [...arguments_, '--augment', 'device', '--steps', '6'];
    const { stderr } = await detco([...args, '--out', uncut]);
    expect(stderr).toContain('warning: augment device: engine wasm shares the cores with the workers, so this is slower');
    await detco([...args, '--out', path], {
      onLine: (line) => (line === `checkpoint ${join(path, 'checkpoints', 'step-4')}` ? 'SIGKILL' : undefined),
    });
    expect(await detco(['train', '--resume', path])).toMatchObject({ code: 0 });
    expect(await metrics(path)).toEqual(await metrics(uncut));
    await expectSameTensors(path, uncut);
    // The same draws, with pixels that may be a level apart.
    const first = async (of: string) => (await metrics(of)).find(({ loss }) => loss !== undefined)?.loss ?? Number.NaN;
    expect(Math.abs((await first(uncut)) / (await first(whole)) - 1)).toBeLessThan(0.01);
  });

  test('killed in an epoch, continues as if nothing had been', async () => {
    const path = run('killed');
    const killed = await detco([...arguments_, '--out', path], {
      onLine: (line) => (line === `checkpoint ${join(path, 'checkpoints', 'step-8')}` ? 'SIGKILL' : undefined),
    });
    expect(killed.signal).toBe('SIGKILL');
    const { state } = await loadCheckpoint(path);
    expect(state.step).toBeGreaterThanOrEqual(8);
    expect(state.step).toBeLessThan(STEPS);

    const resumed = await detco(['train', '--resume', path, '--workers', '1']);
    expect(resumed.stderr).toContain(`run ${path} continues after step ${state.step}`);
    expect(resumed.code).toBe(0);
    await expectWhole(path);
  });

  test('killed before its first checkpoint, begins again', async () => {
    const path = run('early');
    const killed = await detco([...arguments_, '--out', path], { onLine: (line) => (line === `run ${path}` ? 'SIGKILL' : undefined) });
    expect(killed.signal).toBe('SIGKILL');
    expect(await exists(join(path, 'last'))).toBe(false);

    expect((await detco(['train', '--resume', path])).code).toBe(0);
    await expectWhole(path);
  });

  test('interrupted, finishes the update, writes a checkpoint, says how to continue, and does', async () => {
    const path = run('interrupted');
    const interrupted = await detco([...arguments_, '--out', path], {
      onLine: (line) => (line.startsWith('step 1/') || line.startsWith('step 1 ') ? 'SIGINT' : undefined),
    });
    expect(interrupted.code).toBe(130);
    const { state } = await loadCheckpoint(path);
    expect(interrupted.stderr).toContain(`stopped after step ${state.step}; continue with: npx detco train --resume ${path}`);
    expect((await metrics(path)).at(-1)?.step).toBe(state.step);
    expect(state.step).toBeLessThan(STEPS);

    expect((await detco(['train', '--resume', path])).code).toBe(0);
    await expectWhole(path);
  });

  test('resumed when it is done, does nothing', async () => {
    const before = await metrics(whole);
    const { code, stdout } = await detco(['train', '--resume', whole, '--json']);
    expect({ code, result: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 0,
      result: { finished: true, step: STEPS, evaluations: [] },
    });
    expect(await metrics(whole)).toEqual(before);
  });

  test.each<[string, (path: string) => string[], string]>([
    ['a folder that holds a run', (path) => [...arguments_, '--out', path], 'already holds a run'],
    ['other shards', (path) => ['train', '--resume', path, '--shards', join(folder, 'other', '*.tar')], 'shard-000.tar: has '],
    ['another seed', (path) => ['train', '--resume', path, '--seed', '5'], 'seed 5 differs from 0, with which'],
    ['another engine', (path) => ['train', '--resume', path, '--engine', 'torch'], 'engine "torch" differs from "wasm"'],
    ['another batch', (path) => ['train', '--resume', path, '--batch', '16'], 'batch 16 differs from 8'],
  ])('refuses %s and leaves the run alone', async (_what, given, message) => {
    const before = await metrics(whole);
    const { code, stderr } = await detco(given(whole));
    expect(stderr).toContain(message);
    expect(stderr).toContain(whole);
    expect(code).toBe(2);
    expect(await metrics(whole)).toEqual(before);
  });

  test('refuses a batch larger than the data and leaves no folder', async () => {
    const path = run('large');
    const { code, stderr } = await detco([...arguments_, '--batch', '64', '--queue-size', '64', '--out', path]);
    expect(stderr).toContain('64 is more than the 48 samples of an epoch');
    expect(code).toBe(2);
    expect(await exists(path)).toBe(false);
  });

  test('fails before the first step and leaves an index that was there', async () => {
    const path = run('shared');
    await mkdir(join(path, 'index'), { recursive: true });
    await writeFile(join(path, 'index', 'of-another-run.json'), '{}');
    const { code } = await detco([...arguments_, '--batch', '64', '--queue-size', '64', '--out', path]);
    expect(code).toBe(2);
    expect(await readdir(join(path, 'index'))).toContain('of-another-run.json');
  });

  test('an option that the pipeline refuses is named with its flag', async () => {
    const path = run('refused');
    const { code, stderr } = await detco([...arguments_, '--skip-shards', 'none.tar', '--out', path]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/detco: skipShards \(--skip-shards\): no shard of \d+ is named/),
    });
  });

  test('a run that made no update is not in the way of the corrected command', async () => {
    const path = run('corrected');
    const none = join(folder, 'shards', 'none.tar');
    const wrong = await detco([...arguments_, '--val-shards', none, '--out', path]);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining(`valShards (--val-shards): ${none}: matches no shard`) });
    expect(await exists(path)).toBe(false);
    await RunDirectory.create(path, { engineDescription: 'of a run that failed in its first update' }).then((begun) => begun.close());
    const right = await detco([...arguments_, '--steps', '1', '--out', path]);
    expect({ code: right.code, stderr: right.code === 0 ? '' : right.stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('stops when the loss is no number, naming step, term and the last good checkpoint', async () => {
    const path = run('diverged');
    const { code, stderr } = await detco([...arguments_, '--lr', '1e38', '--out', path]);
    expect(stderr).toMatch(/Loss is (NaN|Infinity) at step \d+ \(first in [gl]{2}\.res\d/);
    expect(stderr).toMatch(/Likely causes, and what to try: learning rate [\d.]+e\+\d+ \(a lower --lr\); temperature 0\.1 \(/);
    expect(stderr).toContain(`The last good checkpoint is ${join(path, 'checkpoints', 'step-0')}`);
    expect(code).toBe(1);
    expect((await loadCheckpoint(path)).state.step).toBe(0);
  });
});
