/**
 * What a pipeline does when a part of it dies: it gives the batches of a clean run until then, ends with an error that says
 * what died, and leaves no thread, port, socket or temporary file. It never hangs.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BadSample, type CacheEvent, createPipeline, recipes, type RetryEvent } from '#dist/pipeline/index.js';
import { answer, startHttp } from '../support/http.js';
import { testKey, writeTestShards } from '../support/shards.js';

const run = promisify(execFile);
const pathOf = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const NAMES = 'shard-{000..003}.tar';

interface Outcome {
  readonly batches: readonly string[];
  readonly error?: { readonly message: string; readonly code?: string };
  readonly left: readonly string[];
}

let folder: string;
let clean: Outcome;

/** @param fault of worker-fault.mjs, which fails after `rows` rows of the first worker */
async function outcome(options: object, fault?: string, rows = 20): Promise<Outcome> {
  const all = { shards: join(folder, NAMES), batchSize: 4, epochs: 2, workers: 2, lanes: 4, shuffle: 4, ...options };
  const env = fault === undefined ? {} : { FAULT: fault, FAULT_ROWS: String(rows), NODE_OPTIONS: `--import=${pathOf('worker-fault.mjs')}` };
  const { stdout } = await run(process.execPath, [pathOf('fault-run.mjs'), JSON.stringify(all)], {
    env: { ...process.env, ...env },
    timeout: 50_000,
  });
  return JSON.parse(stdout) as Outcome;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-faults-'));
  await writeTestShards(folder, { counts: [16, 16, 16, 16] });
  clean = await outcome({});
});
afterAll(() => rm(folder, { recursive: true }));

test('a clean run has 32 batches and no error', () => {
  expect(clean).toEqual({ batches: clean.batches, left: [] });
  expect(new Set(clean.batches).size).toBe(32);
});

describe('a worker that', () => {
  const ENDED = /^Worker 1 of 2 ended with exit code \d while it served lanes 0, 2; .*process\.exit\(\), or it was terminated/;
  const FULL =
    /^Worker 1 of 2 ran out of memory: its JavaScript heap reached 64 MB while it served lanes 0, 2 \(ERR_WORKER_OUT_OF_MEMORY\); raise workerMemoryMb/;
  test.each<[string, object, string | undefined, RegExp]>([
    ['calls process.exit', {}, 'exit', ENDED],
    ['is terminated', { terminateAt: 8 }, undefined, ENDED],
    ['throws outside of its task', {}, 'throw', /^thrown outside of any task$/],
    ['rejects a promise nobody waits for', {}, 'reject', /^a promise nobody waits for$/],
    ['throws when its task is done', { waitAt: 29 }, 'late', /^thrown after the task$/],
    ['passes its memory limit', { workerMemoryMb: 64 }, 'fill', FULL],
  ])('%s ends the run after batches of a clean one', async (_what, options, fault, message) => {
    const { batches, error, left } = await outcome(options, fault);
    expect(error?.message).toMatch(message);
    expect(batches.length).toBeGreaterThan(0);
    expect(batches.length).toBeLessThan(32);
    expect(batches).toEqual(clean.batches.slice(0, batches.length));
    expect(left).toEqual([]);
  });

  test('cannot start ends the run', async () => {
    expect(await outcome({}, 'import')).toEqual({ batches: [], error: { message: 'this thread cannot start' }, left: [] });
  });

  test('cannot load its kernels ends the run', async () => {
    const error = { message: 'WebAssembly.instantiate(): Out of memory' };
    expect(await outcome({}, 'kernels')).toEqual({ batches: [], error, left: [] });
  });

  test('has no room to start within its memory limit ends the run, with a code', async () => {
    const { error, left } = await outcome({ workerMemoryMb: 4 });
    expect(error?.message).toMatch(/^Worker [12] of 2 ran out of memory: its JavaScript heap reached 4 MB/);
    expect({ code: error?.code, left }).toEqual({ code: 'ERR_WORKER_OUT_OF_MEMORY', left: [] });
  });

  test('dies while it stores a shard leaves no temporary file', async () => {
    const files = Object.fromEntries(
      await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name))] as const)),
    );
    // Lane 2 of the first worker is in the middle of its shard before lane 0 has a sample.
    const held: (() => void)[] = [];
    let began = false;
    const server = await startHttp((request, response) => {
      const name = basename(request.url ?? '');
      const served = { body: files[name] ?? Buffer.alloc(0), etag: '"1"' };
      const probe = request.headers.range === 'bytes=0-0';
      if (!probe && name === 'shard-002.tar') {
        response.writeHead(200, { 'content-length': served.body.byteLength, etag: '"1"' }).write(served.body.subarray(0, 2000));
        began = true;
        for (const go of held) go();
      } else if (!probe && !began) held.push(() => answer(request, response, served));
      else answer(request, response, served);
    });
    const cacheDir = join(folder, 'cache');
    const { error, left } = await outcome({ shards: `${server.url}/${NAMES}`, shuffle: false, cacheDir }, 'exit', 0);
    await server.close();
    expect(error?.message).toMatch(ENDED);
    expect(left).toEqual([]);
    expect(began).toBe(true);
    expect((await readdir(cacheDir)).filter((name) => !name.endsWith('.shard'))).toEqual([]);
  });
});

test('a bad sample that was found ahead of its turn leaves no place to the samples of other lanes', async () => {
  const own = join(folder, 'ahead');
  // Its lane is at work for long between finding it and failing by it, and the other lane has all that it needs.
  const large = [6, 7, 8, 9].map((index) => testKey(0, index));
  const options = { shards: join(own, 'shard-{000..001}.tar'), batchSize: 2, lanes: 2, shuffle: 0, slots: 16, epochs: 1 };
  await writeTestShards(own, { counts: [20, 20], large });
  const sound = await outcome(options);
  await writeTestShards(own, { counts: [20, 20], large, bad: [testKey(0, 10)] });
  const { batches, error } = await outcome({ ...options, onBadSample: 'fail' });
  expect(error?.message).toMatch(/^bad sample s0-010 /);
  expect(batches).toEqual(sound.batches.slice(0, batches.length));
});

describe('a shard that', () => {
  test.each<[string, (path: string, bytes: Buffer) => Promise<void>, RegExp]>([
    ['was cut off', (path) => truncate(path, 5000), /shard-000\.tar: ends at byte 5000 in the middle of the archive/],
    ['is damaged', (path, bytes) => writeFile(path, bytes.fill(0x61, 2048, 4096)), /shard-000\.tar: is damaged at byte \d+; copy it again/],
    ['is gone', (path) => rm(path), /shard-000\.tar: no such file; check the path/],
  ])('%s ends the run with its name and place', async (how, spoil, message) => {
    const [path = ''] = await writeTestShards(join(folder, how.replaceAll(' ', '-')), { counts: [16, 16] });
    const pipeline = await createPipeline({
      shards: join(path, '..', 'shard-{000..001}.tar'),
      recipe: recipes.detco({ globalSize: 24, patchSize: 8 }),
      batchSize: 4,
      workers: 1,
      lanes: 2,
    });
    await spoil(path, await readFile(path));
    const reading = async (): Promise<number> => {
      let batches = 0;
      for await (const { size } of pipeline) batches += size;
      return batches;
    };
    await expect(reading()).rejects.toThrow(message);
  });
});

test.each([false, true])(
  'a remote shard that is replaced between two epochs ends the run (by way of a cache folder: %p)',
  async (cached) => {
    const first = await readFile(join(folder, 'shard-000.tar'));
    const second = await readFile(join(folder, 'shard-001.tar'));
    let replaced = false;
    const server = await startHttp((request, response) => {
      answer(request, response, replaced ? { body: second, etag: '"2"' } : { body: first, etag: '"1"' });
    });
    const pipeline = await createPipeline({
      shards: `${server.url}/a.tar`,
      recipe: recipes.detco({ globalSize: 24, patchSize: 8 }),
      batchSize: 4,
      epochs: 50,
      workers: 1,
      lanes: 1,
      ...(cached && { cacheDir: join(folder, 'cache-of-versions') }),
    });
    const epochs = async (): Promise<void> => {
      for await (const { epoch } of pipeline) if (epoch === 1) replaced = true;
    };
    await expect(epochs()).rejects.toThrow(/a\.tar: the object was replaced since it was first read \("1" -> "2"\)/);
    await server.close();
  },
);

test('a bad sample is told of without the password of its URL', async () => {
  const [path = ''] = await writeTestShards(join(folder, 'bad'), { counts: [8], bad: [testKey(0, 3)] });
  const body = await readFile(path);
  const server = await startHttp((request, response) => answer(request, response, { body, etag: '"1"' }));
  const bad: string[] = [];
  const options = {
    shards: `${server.url.replace('//', '//me:secret@')}/a.tar`,
    recipe: recipes.evaluation({ globalSize: 16 }),
    batchSize: 2,
    workers: 1,
    lanes: 1,
    onBad: ({ shard }: BadSample) => bad.push(shard),
  };
  const message = async (onBadSample: 'skip' | 'fail'): Promise<string> => {
    try {
      for await (const batch of await createPipeline({ ...options, onBadSample })) batch.release();
      return '';
    } catch (error) {
      return String(error);
    }
  };
  const messages = [await message('skip'), await message('fail')];
  await server.close();
  expect(bad).toEqual([`${server.url}/a.tar`]);
  expect(messages).toEqual(['', expect.stringContaining(` of ${server.url}/a.tar: `)]);
});

test('retries and cache events of workers reach the caller', async () => {
  const files = new Map<string, Buffer>();
  for (const name of ['shard-000.tar', 'shard-001.tar']) files.set(name, await readFile(join(folder, name)));
  const cut = new Set<string>();
  const server = await startHttp((request, response) => {
    const name = basename(request.url ?? '');
    const body = files.get(name);
    const fresh = request.headers.range === undefined && !cut.has(name);
    if (fresh) cut.add(name);
    answer(request, response, body && { body, etag: '"1"' }, fresh ? { cutAfter: 3000 } : {});
  });
  const retries: RetryEvent[] = [];
  const events: CacheEvent[] = [];
  const pipeline = await createPipeline({
    shards: `${server.url.replace('//', '//me:secret@')}/shard-{000..001}.tar`,
    recipe: recipes.detco({ globalSize: 24, patchSize: 8 }),
    batchSize: 4,
    epochs: 2,
    workers: 2,
    lanes: 2,
    cacheDir: join(folder, 'cache-of-events'),
    onRetry: (event) => retries.push(event),
    onCache: (event) => events.push(event),
  });
  for await (const batch of pipeline) batch.release();
  await server.close();
  const urls = [0, 1].map((shard) => `${server.url}/shard-00${shard}.tar`);
  expect(retries.map(({ url }) => url).toSorted()).toEqual(urls);
  for (const { offset, attempt } of retries) expect([offset, attempt]).toEqual([3000, 1]);
  const kinds = (kind: string) => events.filter((event) => event.kind === kind).map(({ url }) => url);
  expect([kinds('stored').toSorted(), kinds('hit').toSorted()]).toEqual([urls, urls]);
  expect(events).toHaveLength(4);
});
