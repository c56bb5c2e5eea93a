/**
 * `detco train` from a real S3 server that checks signatures, over a network that drops, stalls, trickles and answers 503: the losses are those
 * of a run from disk, bit for bit, so no sample was lost, none repeated and none came out of turn.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { startChaosProxy } from '../support/chaos-proxy.js';
import { type S3Server, startS3 } from '../support/s3.js';
import { writeTestShards } from '../support/shards.js';
import { detco } from './detco.js';

jest.setTimeout(300_000);

const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
method: { width: 4, dim: 8, queueSize: 32 }
recipe: { globalSize: 16, patchSize: 8 }
`;

let folder: string;
let s3: S3Server;
let fromDisk: number[];

async function losses(
  name: string,
  shards: string,
  env: Readonly<Record<string, string | undefined>> = {},
  more: readonly string[] = [],
): Promise<number[]> {
  const run = join(folder, name);
  const { code, stderr } = await detco(['train', '--config', join(folder, 'config.yaml'), '--shards', shards, '--out', run, ...more], {
    env,
  });
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-train-s3-'));
  await writeFile(join(folder, 'config.yaml'), CONFIG);
  const paths = await writeTestShards(join(folder, 'shards'), { counts: [16, 16, 16, 16] });
  s3 = await startS3({
    files: Object.fromEntries(await Promise.all(paths.map(async (path) => [`train/${basename(path)}`, await readFile(path)]))),
  });
  fromDisk = await losses('disk', join(folder, 'shards', '*.tar'));
});

afterAll(async () => {
  await s3.close();
  await rm(folder, { recursive: true });
});

test('a run from disk does two epochs of eight steps', () => {
  expect(fromDisk).toHaveLength(16);
  expect(new Set(fromDisk).size).toBe(16);
});

test('a run from a prefix of a bucket has the same losses, by way of a cache folder', async () => {
  const cache = join(folder, 'cache');
  expect(await losses('s3', `${s3.url}/train/`, s3.env, ['--cache-dir', cache, '--cache-size', '1GB'])).toEqual(fromDisk);
  expect((await readdir(cache)).map((name) => name.replace(/^.*\./, ''))).toEqual(['shard', 'shard', 'shard', 'shard']);
});

test('so has one through a network that drops, stalls, trickles and answers 503', async () => {
  const chaos = await startChaosProxy({
    target: s3.endpoint,
    seed: 30,
    drop: 0.2,
    stall: 0.05,
    trickle: 0.07,
    error503: 0.1,
    withinBytes: 30_000,
  });
  try {
    const env = { ...s3.env, AWS_ENDPOINT_URL: chaos.url, DETCO_HTTP_TIMEOUT_MS: '500' };
    expect(await losses('chaos', `${s3.url}/train/shard-{000..003}.tar`, env)).toEqual(fromDisk);
    const { dropped, stalled, trickled, refused } = chaos.counters;
    expect(Math.min(dropped, stalled, trickled, refused)).toBeGreaterThan(0);
  } finally {
    await chaos.close();
  }
});

test('a cache too small for a shard ends with an error that says how much it needs', async () => {
  const { code, stderr } = await detco(
    [
      'train',
      '--config',
      join(folder, 'config.yaml'),
      '--shards',
      `${s3.url}/train/`,
      '--cache-dir',
      join(folder, 'small'),
      '--cache-size',
      '1kB',
    ],
    { env: s3.env },
  );
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/cacheSize 1000 \(1\.0 kB\) is less than the \d+ bytes .* of this shard; set it to at least \d+/);
});

test('a wrong secret ends with an error that says so', async () => {
  const { code, stderr } = await detco(
    ['train', '--config', join(folder, 'config.yaml'), '--shards', `${s3.url}/train/`, '--out', join(folder, 'denied')],
    { env: { ...s3.env, AWS_SECRET_ACCESS_KEY: 'wrong' } },
  );
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/SignatureDoesNotMatch|403/);
});
