/** `train()` lets the event loop of its thread turn: a signal that the process gets is heard between updates, whatever the engine. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { ENGINE_NAMES } from '#dist/engine/index.js';
import { whereAvailable } from '../engine/available.js';
import { writeTestShards } from '../support/shards.js';

jest.setTimeout(120_000);

let folder = '';
let shards: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-signal-'));
  // Fifty updates an epoch.
  shards = await writeTestShards(folder, { counts: [200, 200] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ending {
  readonly step: number;
  readonly finished: boolean;
  readonly polls: number;
  readonly infos: readonly string[];
}

async function signalled(engine: string, at: 'update' | 'checkpoint' | 'evaluation' | 'outlook'): Promise<Ending> {
  const options = {
    at,
    engine,
    shards,
    preset: 'tiny',
    batch: 8,
    epochs: at === 'outlook' ? 100_000 : 2,
    method: { width: 4, dim: 8, queueSize: 64, bnGroups: 2 },
    recipe: { globalSize: 16, patchSize: 8 },
    out: join(folder, `${engine}-${at}`),
    ...(at === 'evaluation' && { valShards: shards }),
  };
  const { stdout } = await promisify(execFile)(process.execPath, ['test/support/train-signal.mjs', JSON.stringify(options)]);
  return JSON.parse(stdout) as Ending;
}

for (const engine of ENGINE_NAMES) {
  const where = await whereAvailable(engine);

  where.describe(`engine ${engine}${where.note}`, () => {
    test('after an update, it makes one more at most', async () => {
      const { step, finished } = await signalled(engine, 'update');
      expect(finished).toBe(false);
      expect(step).toBeLessThanOrEqual(4);
    });

    test('after a checkpoint, it makes one update at most', async () => {
      const { step, finished } = await signalled(engine, 'checkpoint');
      expect(finished).toBe(false);
      expect(step).toBeLessThanOrEqual(1);
    });

    test('in an evaluation, it looks at one more block at most', async () => {
      const { step, finished, polls } = await signalled(engine, 'evaluation');
      expect({ step, finished }).toEqual({ step: 0, finished: false });
      expect(polls).toBeLessThanOrEqual(3);
    });
  });
}

test('a run that is told to stop is not told how long it would take', async () => {
  const { finished, infos } = await signalled('wasm', 'outlook');
  expect(finished).toBe(false);
  expect(infos.filter((message) => message.includes(' to go, '))).toEqual([]);
});
