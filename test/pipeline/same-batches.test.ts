/** The same shards give the same batches, byte for byte, wherever they lie and however many workers read them. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PIPELINE_DEFAULTS } from '#dist/pipeline/defaults.js';
import type { PipelineOptions } from '#dist/pipeline/index.js';
import { startChaosProxy } from '../support/chaos-proxy.js';
import { answer, type HttpServer, startHttp } from '../support/http.js';
import { type S3Server, s3Env, startS3 } from '../support/s3.js';
import { writeTestShards } from '../support/shards.js';
import { startTokenGate } from '../support/token-gate.js';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../support/digest-run.mjs', import.meta.url));
type PipelineOverrides = Partial<Pick<PipelineOptions, 'cacheDir' | 'cacheSize' | 'decoder' | 'decodedCache'>>;

const NAMES = 'shard-{000..003}.tar';

let folder: string;
let http: HttpServer;
let s3: S3Server;
let fromFile: string[];

async function digests(
  shards: string,
  workers: number,
  env: Readonly<Record<string, string | undefined>> = {},
  more: PipelineOverrides = {},
): Promise<string[]> {
  const options = JSON.stringify({ shards, workers, globalSize: 24, patchSize: 8, batchSize: 8, epochs: 2, seed: 3, ...more });
  const { stdout } = await run(process.execPath, [program, options], { env: { ...process.env, ...env } });
  return JSON.parse(stdout) as string[];
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-same-'));
  const paths = await writeTestShards(folder, { counts: [11, 8, 14, 9] });
  const files = Object.fromEntries(await Promise.all(paths.map(async (path) => [basename(path), await readFile(path)] as const)));
  http = await startHttp((request, response) => {
    const body = files[basename(request.url ?? '')];
    answer(request, response, body && { body, etag: '"1"' });
  });
  s3 = await startS3({ files });
  fromFile = await digests(join(folder, NAMES), 1);
});

afterAll(async () => {
  await http.close();
  await s3.close();
  await rm(folder, { recursive: true });
});

test('there are whole batches of two epochs, all different', () => {
  expect(fromFile).toHaveLength(10);
  expect(new Set(fromFile).size).toBe(10);
});

// Each then decodes several samples of its lane ahead.
test('with a worker for each lane', async () => {
  expect(await digests(join(folder, NAMES), PIPELINE_DEFAULTS.lanes)).toEqual(fromFile);
});

test.each([1, 4])('with %i workers from file, HTTP and S3', async (workers) => {
  expect(await digests(join(folder, NAMES), workers)).toEqual(fromFile);
  expect(await digests(`${http.url}/${NAMES}`, workers)).toEqual(fromFile);
  expect(await digests(`${s3.url}/${NAMES}`, workers, s3.env)).toEqual(fromFile);
});

test('with sharp as the decoder of all images, and with decoded images kept', async () => {
  expect(await digests(join(folder, NAMES), 2, {}, { decoder: 'sharp' })).toEqual(fromFile);
  expect(await digests(join(folder, NAMES), 2, {}, { decodedCache: '50MB' })).toEqual(fromFile);
});

test('from S3 with a session that expires again and again', async () => {
  const credentials = join(folder, 'credentials');
  const issue = async (token: string): Promise<void> => {
    await writeFile(
      `${credentials}.${token}`,
      `[default]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\naws_session_token = ${token}\n`,
    );
    await rename(`${credentials}.${token}`, credentials);
  };
  let issued = issue('0');
  await issued;
  let count = 0;
  const gate = await startTokenGate({
    target: s3.endpoint,
    async valid() {
      // Each token is good for twelve requests; the next one is there for all before the old one is refused.
      const token = String(Math.floor(count++ / 12));
      if (count % 12 === 1) issued = issue(token);
      await issued;
      return token;
    },
  });
  try {
    const env = { ...s3Env(gate.url), AWS_SHARED_CREDENTIALS_FILE: credentials };
    expect(await digests(`${s3.url}/${NAMES}`, 2, env)).toEqual(fromFile);
    expect(gate.refused()).toBeGreaterThan(0);
  } finally {
    await gate.close();
  }
});

test('from S3 through a network that drops, stalls, trickles and answers 503, into a cache folder and from it', async () => {
  const chaos = await startChaosProxy({
    target: s3.endpoint,
    seed: 30,
    drop: 0.2,
    stall: 0.05,
    trickle: 0.07,
    error503: 0.1,
    withinBytes: 40_000,
  });
  try {
    const env = { ...s3.env, AWS_ENDPOINT_URL: chaos.url, DETCO_HTTP_TIMEOUT_MS: '300' };
    const { counters } = chaos;
    expect(await digests(`${s3.url}/${NAMES}`, 2, env, { cacheDir: join(folder, 'cache-of-chaos') })).toEqual(fromFile);
    expect(Math.min(counters.dropped, counters.stalled, counters.trickled, counters.refused)).toBeGreaterThan(0);
  } finally {
    await chaos.close();
  }
});

test('by way of a cache folder, while it fills and from what it holds', async () => {
  const cacheDir = join(folder, 'cache');
  expect(await digests(`${s3.url}/${NAMES}`, 2, s3.env, { cacheDir, cacheSize: '1GB' })).toEqual(fromFile);
  expect((await readdir(cacheDir)).map((name) => name.replace(/^.*\./, ''))).toEqual(['shard', 'shard', 'shard', 'shard']);
  const before = http.requests.length;
  expect(await digests(`${http.url}/${NAMES}`, 2, {}, { cacheDir })).toEqual(fromFile);
  const ofHttp = http.requests.length;
  expect(await digests(`${http.url}/${NAMES}`, 2, {}, { cacheDir })).toEqual(fromFile);
  expect(http.requests.slice(before, ofHttp).some(({ range }) => range === undefined)).toBe(true);
  expect(http.requests.slice(ofHttp).every(({ range }) => range === 'bytes=0-0')).toBe(true);
});
