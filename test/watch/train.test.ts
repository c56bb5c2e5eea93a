import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { serveWatch } from '#dist/watch/server.js';
import { detco } from '../cli/detco.js';
import { metricsLines } from '../support/metrics.js';
import { writeTestShards } from '../support/shards.js';

jest.setTimeout(120_000);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-watch-train-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a training whose port is taken says so, goes on without a page, and logs memory and queues', async () => {
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12] });
  const other = await serveWatch({ folders: [folder], port: 0 });
  const { port } = new URL(other.url);
  const out = join(folder, 'run');
  const args = ['--preset', 'tiny', '--engine', 'wasm', '--batch', '8', '--steps', '2', '--workers', '1', '--out', out];
  const { code, stderr } = await detco(['train', '--shards', ...shards, ...args, '--watch', port]);
  await other.close();
  expect(stderr).toContain(
    `warning: --watch: port ${port} of 127.0.0.1 is taken by another program, perhaps another detco: end it, or give another port. ` +
      'The run goes on without a page.',
  );
  expect(code).toBe(0);
  const updates = (await metricsLines<Record<string, unknown>>(out)).filter((line) => 'loss' in line);
  expect(updates).toHaveLength(2);
  for (const { rssBytes, queues } of updates) {
    expect(rssBytes).toBeGreaterThan(50e6);
    expect(Object.keys(queues as object)).toEqual(['compressed', 'decoding', 'decoded', 'full']);
  }
});

test('a port that is none ends with 2', async () => {
  const { code, stderr } = await detco(['train', '--shards', 'none.tar', '--watch', 'here']);
  expect(stderr).toContain('--watch "here": expected a whole number, 0..65535; give for example --watch 8265');
  expect(code).toBe(2);
});
