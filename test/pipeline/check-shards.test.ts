/** What is asked of each shard before the first is read, and what a pipeline that goes on holds its shards to. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createPipeline, type FoundShard, type PipelineOptions, recipes, type RewrittenShards, SourceError } from '#dist/pipeline/index.js';
import { closeSources } from '#dist/pipeline/source/index.js';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { digestBatches } from '../support/batches.js';
import { answer, type HttpServer, startHttp } from '../support/http.js';
import { setEnv, startS3 } from '../support/s3.js';
import { writeTestShards } from '../support/shards.js';

const COUNT = 6;
const objects = new Map<string, { body: Uint8Array; etag?: string }>();
let folder: string;
let server: HttpServer;
let files: string[];
/** Requests that did not ask for a single byte. */
const reads = (): number => server.requests.filter(({ range }) => range !== 'bytes=0-0').length;
const range = (last = COUNT - 1): string => `${server.url}/shard-{000..${String(last).padStart(3, '0')}}.tar`;
const options = (shards: string, more: Partial<PipelineOptions> = {}): PipelineOptions => ({
  shards,
  recipe: recipes.evaluation({ globalSize: 16 }),
  batchSize: 4,
  workers: 2,
  lanes: 2,
  ...more,
});

async function found(shards: string, more: Partial<PipelineOptions> = {}): Promise<FoundShard[]> {
  await using pipeline = await createPipeline(options(shards, more));
  return pipeline.found();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-check-'));
  files = await writeTestShards(join(folder, 'shards'), { counts: Array.from({ length: COUNT }, () => 8) });
  server = await startHttp((request, response) => answer(request, response, objects.get(request.url ?? '')));
});
beforeEach(async () => {
  for (const path of files) objects.set(`/${basename(path)}`, { body: await readFile(path), etag: `"${basename(path)}"` });
});
afterAll(async () => {
  await closeSources();
  await server.close();
  await rm(folder, { recursive: true });
});

describe('at the start', () => {
  test('a hole in a numbered range is found before a byte of any shard is read', async () => {
    objects.delete('/shard-003.tar');
    const before = reads();
    await expect(createPipeline(options(range()))).rejects.toThrow(
      /shard-003\.tar: no such object \(404\); .* it is the only one missing of 6 shards: put them there, leave them out \(skipShards, detco train --skip-shards\), or name only what is there/,
    );
    expect(reads()).toBe(before);
  });

  test('all holes are counted, and the first of them named', async () => {
    const error: unknown = await createPipeline(options(range(20))).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(SourceError);
    expect(error).toMatchObject({ kind: 'missing', location: `${server.url}/shard-006.tar` });
    const names = [6, 7, 8, 9, 10].map((number) => `${server.url}/shard-${String(number).padStart(3, '0')}.tar`);
    expect(String(error)).toContain(`15 of 21 shards are missing: ${names.join(', ')} and 10 more;`);
  });

  test('each shard is asked once, for one byte, and the answers are told', async () => {
    const before = server.requests.length;
    const asked: number[] = [];
    const shards = await found(range(), { onAnswer: ({ asked: count, total }) => asked.push(count, total) });
    expect(shards).toEqual(
      files.map((path) => ({
        location: `${server.url}/${basename(path)}`,
        bytes: objects.get(`/${basename(path)}`)?.body.byteLength,
        version: `"${basename(path)}"`,
      })),
    );
    const requests = server.requests.slice(before);
    expect(requests.map(({ path }) => path).toSorted()).toEqual(files.map((path) => `/${basename(path)}`));
    expect(new Set(requests.map(({ range: asks }) => asks))).toEqual(new Set(['bytes=0-0']));
    expect(asked).toEqual([1, 6, 2, 6, 3, 6, 4, 6, 5, 6, 6, 6]);
  });

  test('many questions at a time make no warning', async () => {
    const many = await startHttp((request, response) => answer(request, response, { body: new Uint8Array(1024), etag: '"1"' }));
    const warnings: string[] = [];
    const note = ({ message }: Error): number => warnings.push(message);
    process.on('warning', note);
    try {
      expect(await found(`${many.url}/shard-{000..299}.tar`, { signal: new AbortController().signal })).toHaveLength(300);
      // Warnings are emitted in the next turn.
      await new Promise(setImmediate);
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', note);
      await many.close();
    }
  });

  (process.platform === 'win32' ? test.skip : test)('many questions need few open files', async () => {
    const [body] = objects.values();
    for (let i = 0; i < 200; i++) objects.set(`/many-${i}.tar`, { ...body, body: Uint8Array.of(1) });
    const command = 'ulimit -n 70 && exec "$0" test/support/ask-shards.mjs "$1"';
    const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, `${server.url}/many-{0..199}.tar`]);
    expect(stdout).toBe('200\n');
  });

  test("with checkShards 'none' no server is asked", async () => {
    const before = server.requests.length;
    expect(await found(range(20), { checkShards: 'none' })).toHaveLength(21);
    expect(server.requests).toHaveLength(before);
  });

  test('ranks share the questions', async () => {
    const indexDir = join(folder, 'ranks');
    await indexShards(
      files.map((path) => `${server.url}/${basename(path)}`),
      { dir: indexDir, workers: 2, batchSize: 4 },
    );
    const before = server.requests.length;
    for (const rank of [0, 1]) await found(range(), { rank, worldSize: 2, workers: 1, indexDir });
    const paths = server.requests.slice(before).map(({ path }) => path);
    expect(paths.toSorted()).toEqual(files.map((path) => `/${basename(path)}`));
  });

  test('a server that refuses is named at once, not shard by shard', async () => {
    const closed = await startHttp((_, response) => response.writeHead(403).end());
    try {
      const error: unknown = await createPipeline(options(`${closed.url}/shard-{000..499}.tar`)).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: 'SourceError', kind: 'refused' });
      expect(closed.requests.length).toBeLessThan(200);
    } finally {
      await closed.close();
    }
  });

  test('a prefix of a bucket says all itself: nothing is asked, and it says what an object would', async () => {
    const s3 = await startS3({
      files: Object.fromEntries(await Promise.all(files.map(async (path) => [basename(path), await readFile(path)]))),
    });
    const undo = setEnv(s3.env);
    try {
      let asked = 0;
      const listed = await found(`${s3.url}/`, { onAnswer: () => asked++ });
      expect(asked).toBe(0);
      expect(listed).toEqual(await found(`${s3.url}/shard-{000..005}.tar`, { onAnswer: () => asked++ }));
      expect(asked).toBe(COUNT);
      expect(listed[0]).toEqual({
        location: `${s3.url}/shard-000.tar`,
        bytes: (await readFile(files[0] ?? '')).byteLength,
        version: expect.stringMatching(/^"[0-9a-f]{32}"$/),
      });
    } finally {
      undo();
      await s3.close();
    }
  });

  test('a login is in no name of a shard that is shown', async () => {
    await using pipeline = await createPipeline(options(range().replace('http://', 'http://me:secret@')));
    expect(JSON.stringify([pipeline.shards, pipeline.found()])).not.toContain('secret');
    for await (const { samples } of pipeline) {
      expect(JSON.stringify(samples)).not.toContain('secret');
      break;
    }
  });
});

test('relative paths, those of a list too, start from cwd', async () => {
  await writeFile(join(folder, 'list.txt'), 'shards/shard-{000..001}.tar\nshards/*5.tar\n');
  const places = (shards: readonly FoundShard[]): string[] => shards.map(({ location }) => location);
  const [first, second, , , , last] = files;
  expect(places(await found('@list.txt', { cwd: folder }))).toEqual([first, second, last]);
  expect(places(await found('shards', { cwd: folder }))).toEqual(files);
});

describe('shards of a pipeline that goes on', () => {
  const copied = async (name: string): Promise<string> => {
    const to = join(folder, name);
    await mkdir(to);
    for (const path of files) await copyFile(path, join(to, basename(path)));
    return to;
  };
  /** Changes the last byte of an image, so that the length stays. */
  const damage = async (path: string): Promise<void> => {
    const bytes = await readFile(path);
    const at = bytes.lastIndexOf(Buffer.from([0xff, 0xd9])) - 1;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    await writeFile(path, bytes);
  };
  const compared = async (shards: string, more: Partial<PipelineOptions>) => {
    await using pipeline = await createPipeline(options(shards, more));
    return pipeline.compared;
  };
  const none = { moved: 0, versions: 0, contents: 0, samples: 0 };

  test('that are as they were say so', async () => {
    expect(await compared(range(), { expect: await found(range()) })).toEqual({ ...none, shards: 6, sizes: 6, versions: 6 });
  });

  test('of another length are an error that names the first of them and both lengths', async () => {
    const before = await found(range());
    for (const name of ['/shard-002.tar', '/shard-004.tar']) objects.set(name, { body: new Uint8Array(1024), etag: '"new"' });
    await expect(compared(range(), { expect: before })).rejects.toThrow(
      `shard-002.tar: has 1024 bytes, it had ${before[2]?.bytes}; so it is with 2 of 6 shards; put the old data back, or start another run`,
    );
  });

  test('that are fewer, or in another order, are an error that says which', async () => {
    const before = await found(range());
    await expect(compared(range(4), { expect: before })).rejects.toThrow(
      'shard 5 is missing, it was shard-005.tar (5 shards, they were 6); name the same shards in the same order',
    );
    await expect(compared(`${server.url}/shard-{005..000}.tar`, { expect: before })).rejects.toThrow(
      'shard 0 is shard-005.tar, it was shard-000.tar',
    );
  });

  test('that were written again with the same length are an error where no index knows their content', async () => {
    const place = await copied('again');
    const before = await found(place);
    await utimes(join(place, 'shard-001.tar'), new Date(), new Date(0));
    await expect(compared(place, { expect: before })).rejects.toThrow(
      /shard-001\.tar: was written again \(\S+Z -> 1970-01-01T00:00:00\.000Z\), and no index tells .* checkShards 'sizes'/,
    );
    expect(await compared(place, { expect: before, checkShards: 'sizes' })).toMatchObject({ sizes: 6, contents: 0 });
  });

  test('that were written again are an error before any is read where the index of one is missing', async () => {
    const place = await copied('half');
    const indexDir = join(folder, 'half-index');
    await indexShards(
      files.slice(1).map((path) => join(place, basename(path))),
      { dir: indexDir, workers: 2, batchSize: 4 },
    );
    const before = await found(place);
    for (const path of files) await utimes(join(place, basename(path)), new Date(), new Date(0));
    const told: RewrittenShards[] = [];
    const onRewritten = (rewritten: RewrittenShards) => void told.push(rewritten);
    await expect(compared(place, { expect: before, indexDir, onRewritten })).rejects.toThrow(
      /shard-000\.tar: was written again .*, and no index tells/,
    );
    expect(told).toEqual([]);
  });

  test('that were written again are read where an index knows their content: the same goes on, another is an error', async () => {
    const place = await copied('indexed');
    const indexDir = join(folder, 'indexed-index');
    await indexShards(
      files.map((path) => join(place, basename(path))),
      { dir: indexDir, workers: 2, batchSize: 4 },
    );
    const before = await found(place);
    for (const path of files) await utimes(join(place, basename(path)), new Date(), new Date(0));
    const told: RewrittenShards[] = [];
    const onRewritten = (rewritten: RewrittenShards) => void told.push(rewritten);
    expect(await compared(place, { expect: before, indexDir, onRewritten })).toEqual({ ...none, shards: 6, sizes: 6, contents: 6 });
    // What is going to be read is told once, before.
    expect(told).toEqual([{ shards: 6, bytes: before.reduce((sum, { bytes = 0 }) => sum + bytes, 0) }]);
    await damage(join(place, 'shard-003.tar'));
    await expect(compared(place, { expect: before, indexDir })).rejects.toThrow(
      /shard-003\.tar: has changed .* checksum of s3-007 is another/,
    );
  });

  test('that have moved are compared by a checksum, and their index moves with them', async () => {
    const indexDir = join(folder, 'moved-index');
    const locations = files.map((path) => `${server.url}/${basename(path)}`);
    await indexShards(locations, { dir: indexDir, workers: 2, batchSize: 4 });
    const before = await found(range());
    const place = await copied('moved');
    expect(await compared(place, { expect: before, indexDir })).toEqual({ ...none, shards: 6, sizes: 6, moved: 6, samples: 6 });
    const report = await indexShards(
      files.map((path) => join(place, basename(path))),
      { dir: indexDir, workers: 2, batchSize: 4 },
    );
    expect(report.kept).toBe(6);
    await damage(join(place, 'shard-000.tar'));
    await expect(compared(place, { expect: before, indexDir })).rejects.toThrow(/moved.shard-000\.tar: has changed/);
  });

  test('that have moved give the same batches from there on', async () => {
    const whole = await digestBatches(options(range()));
    const state = whole[3]?.state;
    if (!state) throw new Error('no batch 3');
    const place = await copied('batches');
    const rest = await digestBatches(options(place, { resume: state, expect: await found(range()) }));
    expect(rest).toEqual(whole.slice(4));
  });

  test('that were not asked for are held to what was known when they are read', async () => {
    const before = await found(range());
    objects.set('/shard-002.tar', { body: objects.get('/shard-002.tar')?.body ?? new Uint8Array(), etag: '"other"' });
    await expect(digestBatches(options(range(), { expect: before, checkShards: 'none' }))).rejects.toThrow(
      'shard-002.tar: the object was replaced since it was first read ("shard-002.tar" -> "other")',
    );
  });

  test('that are replaced between the question and the first read end the run', async () => {
    await using pipeline = await createPipeline(options(range()));
    objects.set('/shard-002.tar', { body: objects.get('/shard-002.tar')?.body ?? new Uint8Array(), etag: '"other"' });
    const read = async (): Promise<void> => {
      for await (const _ of pipeline);
    };
    await expect(read()).rejects.toThrow('the object was replaced since it was first read ("shard-002.tar" -> "other")');
  });

  test('that were never asked for are known once they are read', async () => {
    await using pipeline = await createPipeline(options(range(), { checkShards: 'none' }));
    expect(pipeline.found()[0]).toEqual({ location: `${server.url}/shard-000.tar`, bytes: undefined, version: undefined });
    for await (const _ of pipeline);
    expect(pipeline.found()).toEqual(await found(range()));
  });
});
