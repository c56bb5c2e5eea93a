/** Run directories that are written, damaged, replaced and deleted while they are read. */
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { WatchedRun } from '#dist/watch/watched-run.js';
import { WatchedRuns } from '#dist/watch/watched-runs.js';
import { appendMetrics, lineText, linesText, writeRun } from './metrics-file.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-watch-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function refresh(run: { refresh(): Promise<boolean> }): Promise<void> {
  while (await run.refresh());
}

const steps = (run: WatchedRun) => run.metrics.updates.since(undefined)?.steps;

test('a half-written line is read when it is whole', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 3));
  const run = new WatchedRun(0, 'run', path);
  const text = lineText({ step: 4 });
  await appendMetrics(path, text.slice(0, 20));
  await refresh(run);
  expect(steps(run)).toEqual([1, 2, 3]);
  await appendMetrics(path, text.slice(20));
  await refresh(run);
  expect(steps(run)).toEqual([1, 2, 3, 4]);
  expect(run.head).toMatchObject({ unreadable: 0, read: 1 });
  expect(run.head).not.toHaveProperty('problem');
});

test('a half-written line that a resume takes away is no line', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 3));
  const run = new WatchedRun(0, 'run', path);
  await appendMetrics(path, '{"step":4,"lo');
  await refresh(run);
  await truncate(join(path, 'metrics.jsonl'), Buffer.byteLength(linesText(1, 3)));
  await appendMetrics(path, lineText({ step: 3, loss: 33 }) + lineText({ step: 4 }));
  await refresh(run);
  expect(steps(run)).toEqual([1, 2, 3, 4]);
  expect(run.metrics.updates.since(undefined)?.columns['loss']?.mean[2]).toBe(33);
  expect(run.head.unreadable).toBe(0);
});

test('metrics that were replaced or shortened are read again', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 6));
  const run = new WatchedRun(0, 'run', path);
  await refresh(run);
  await writeFile(`${path}/metrics.jsonl.partial`, linesText(1, 8));
  await rename(`${path}/metrics.jsonl.partial`, `${path}/metrics.jsonl`);
  await refresh(run);
  expect(steps(run)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  await truncate(`${path}/metrics.jsonl`, Buffer.byteLength(linesText(1, 2)));
  await refresh(run);
  expect(steps(run)).toEqual([1, 2]);
});

test('a run that is deleted keeps its points and says so, and one that comes back is read', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 3));
  const run = new WatchedRun(0, 'run', path);
  await refresh(run);
  await rm(path, { recursive: true });
  await refresh(run);
  expect(run.head.problem).toBe(`${path} is gone: deleted or moved. What was read of it stays on this page.`);
  expect(steps(run)).toEqual([1, 2, 3]);
  await writeRun(path, linesText(1, 5));
  await refresh(run);
  expect(run.head).not.toHaveProperty('problem');
  expect(steps(run)).toEqual([1, 2, 3, 4, 5]);
});

test('config, checkpoint, bad samples and views are told', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 3), { method: { name: 'detco', arch: 'resnet18' }, batch: 32, ignored: 1 });
  await mkdir(join(path, 'checkpoints/step-2'), { recursive: true });
  await symlink('checkpoints/step-2', join(path, 'last'));
  await writeFile(join(path, 'bad-samples.jsonl'), '{"key":"a"}\n');
  const run = new WatchedRun(0, 'run', path);
  await refresh(run);
  expect(run.head).toMatchObject({
    facts: { 'method.name': 'detco', 'method.arch': 'resnet18', batch: 32 },
    checkpointStep: 2,
    badSamples: 1,
  });
  await appendFile(join(path, 'bad-samples.jsonl'), '{"key":"b"}\n{"key":"c"}\n');
  await refresh(run);
  expect(run.head.badSamples).toBe(3);
});

test('a damaged config is told of, and the points are shown', async () => {
  const path = await writeRun(join(folder, 'run'), linesText(1, 3));
  await writeFile(join(path, 'config.json'), '{"batch":');
  const run = new WatchedRun(0, 'run', path);
  await refresh(run);
  expect(run.head.problem).toBe(`${join(path, 'config.json')} is damaged: it holds no JSON object.`);
  expect(steps(run)).toEqual([1, 2, 3]);
});

test('a folder of runs shows each, also one that comes later, and one without runs says so', async () => {
  await writeRun(join(folder, 'runs/second-2'), linesText(1, 1));
  await writeRun(join(folder, 'runs/second-10'), linesText(1, 1));
  await mkdir(join(folder, 'runs/notes'));
  await mkdir(join(folder, 'empty'));
  const runs = new WatchedRuns([join(folder, 'runs'), join(folder, 'empty')]);
  await refresh(runs);
  expect(runs.heads.map(({ name }) => name)).toEqual(['second-2', 'second-10']);
  expect(runs.problems).toEqual([`${join(folder, 'empty')} is no run and holds none: the page shows the first as soon as it is there.`]);
  await writeRun(join(folder, 'empty/third'), linesText(1, 2));
  while (runs.runs.length < 3) await refresh(runs);
  expect(runs.heads.at(-1)?.name).toBe('third');
  expect(runs.problems).toEqual([]);
});

test('what cannot be read is told of', async () => {
  await symlink('loop', join(folder, 'loop'));
  const runs = new WatchedRuns([join(folder, 'loop')]);
  await refresh(runs);
  expect(runs.problems).toEqual([expect.stringMatching(/\/loop cannot be read \(.*ELOOP: /)]);
  const path = await writeRun(join(folder, 'run'), '');
  for (const name of ['config.json', 'views.png', 'metrics.jsonl']) {
    await rm(join(path, name), { force: true });
    execFileSync('mkfifo', [join(path, name)]);
    const run = new WatchedRun(0, 'run', path);
    await refresh(run);
    expect(run.head.viewsMs).toBeUndefined();
    expect(run.head.problem).toContain(`${join(path, name === 'metrics.jsonl' ? name : 'config.json')} is no file`);
  }
});

test('runs of one name are told apart by their paths', async () => {
  const [a, b] = [join(folder, 'a/run'), join(folder, 'b/run')];
  await writeRun(a, linesText(1, 1));
  await writeRun(b, linesText(1, 1));
  const runs = new WatchedRuns([a, b, a]);
  await refresh(runs);
  expect(runs.heads.map(({ name }) => name)).toEqual(['run', b]);
});
