/** A run of detco 0.1 goes on: fixtures/runs/detco-0.1 was stopped after 4 of its 8 updates by that version. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadCheckpoint } from '#dist/train/index.js';
import { detco } from './detco.js';

/**
 * Losses of updates 5 and 6 by detco 0.1, without a stop: the second follows from the weights, velocities and queues of the checkpoint. Those
 * after it depend on how a CPU, and the V8 of its Node, round.
 */
const LOSSES = [22.176000595092773, 23.2969970703125];
const SHARDS = ['--shards', 'fixtures/shards/train-000.tar', 'fixtures/shards/train-001.tar', '--check-shards', 'sizes'];

let folder = '';
let run = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-first-format-'));
  run = join(folder, 'run');
  await cp('fixtures/runs/detco-0.1', run, { recursive: true, verbatimSymlinks: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('with the losses that it would have had, and leaves checkpoints in the present format', async () => {
  const { state } = await loadCheckpoint(run);
  expect(state).toMatchObject({ format: 1, step: 4, method: { name: 'detco', host: { pointer: 0 } } });
  expect(await detco(['train', '--resume', run, ...SHARDS, '--steps', '6'])).toMatchObject({ code: 0 });
  // From a checkpoint in the present format, too.
  expect(await detco(['train', '--resume', run, '--steps', '8'])).toMatchObject({ code: 0 });
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  const losses = lines.slice(4).map((line) => (JSON.parse(line) as { loss: number }).loss);
  expect(losses).toHaveLength(4);
  LOSSES.forEach((loss, i) => expect(losses[i]).toBeCloseTo(loss, 3));
  expect((await loadCheckpoint(run)).state).toMatchObject({ format: 2, step: 8 });
});

test('unless its config.json was changed', async () => {
  const changed = join(folder, 'changed');
  await cp('fixtures/runs/detco-0.1', changed, { recursive: true, verbatimSymlinks: true });
  const config = JSON.parse(await readFile(join(changed, 'config.json'), 'utf8')) as object;
  await writeFile(join(changed, 'config.json'), JSON.stringify({ ...config, lr: 0.5 }));
  const { code, stderr } = await detco(['train', '--resume', changed, ...SHARDS]);
  expect(code).toBe(2);
  expect(stderr).toContain(`was made with: an option or a shard is another. Put back in config.json what was there`);
});

test('unless an option is another', async () => {
  const again = join(folder, 'again');
  await cp('fixtures/runs/detco-0.1', again, { recursive: true, verbatimSymlinks: true });
  const { code, stderr } = await detco(['train', '--resume', again, ...SHARDS, '--lr', '0.5']);
  expect(code).toBe(2);
  expect(stderr).toContain('lr 0.5 differs from 0.24');
});
