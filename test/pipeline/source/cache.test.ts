/** The shard cache against real servers, folders and processes: what it serves, what it keeps, and what it never does. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type CacheEvent, type CacheFolder, closeSources, openCacheFolder, openShard, parseByteSize } from '#dist/pipeline/source/index.js';
import { reserve } from '#dist/pipeline/source/cache-folder.js';
import { collect, noise, until } from '../../support/bytes.js';
import { setEnv } from '../../support/env.js';
import { answer, type Handler, type HttpServer, type Served, startHttp } from '../../support/http.js';
import { mayMount, mountDisk, unmountDisk } from '../../support/small-disk.js';

const program = fileURLToPath(new URL('../../support/cache-read.mjs', import.meta.url));
const SIZE = 300_000;

let server: HttpServer;
let handler: Handler;
let objects: Map<string, Served>;
let dir: string;
let cache: CacheFolder;
let events: CacheEvent[];

beforeAll(async () => {
  server = await startHttp((request, response) => handler(request, response));
});
afterAll(() => server.close());

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-cache-'));
  cache = await openCacheFolder(dir);
  events = [];
  objects = new Map(['a', 'b', 'c', 'd'].map((name, i) => [`/${name}.tar`, { body: noise(SIZE, i + 1), etag: `"${name}1"` }]));
  handler = (request, response) => answer(request, response, objects.get(request.url ?? ''));
});
afterEach(async () => {
  await closeSources();
  await rm(dir, { recursive: true, force: true });
});

const url = (name: string): string => `${server.url}/${name}.tar`;
const bodyOf = (name: string): Uint8Array => objects.get(`/${name}.tar`)?.body ?? new Uint8Array();
const kinds = (): string[] => events.map(({ kind }) => kind);
const files = async (ending: string): Promise<string[]> => (await readdir(dir)).filter((name) => name.endsWith(ending));

async function read(name: string, start = 0): Promise<Buffer> {
  return collect(openShard(url(name), { cache, start, onCache: (event) => events.push(event) }));
}

/** Reads and checks every byte; returns what the cache said. */
async function kindOf(name: string): Promise<string | undefined> {
  expect((await read(name)).equals(bodyOf(name))).toBe(true);
  return events.at(-1)?.kind;
}

/** Requests that asked for more than the version. */
const fetches = (): number => server.requests.filter(({ range }) => range !== 'bytes=0-0').length;

describe('a shard', () => {
  test('is fetched once and then read from the folder, the same bytes', async () => {
    const before = fetches();
    expect(await kindOf('a')).toBe('stored');
    expect(await kindOf('a')).toBe('hit');
    expect(fetches() - before).toBe(1);
    expect(await files('.shard')).toHaveLength(1);
  });

  test('is read from an offset when it is there, and not kept when it is not', async () => {
    expect((await read('a', 1000)).equals(bodyOf('a').subarray(1000))).toBe(true);
    expect(events).toEqual([{ kind: 'skipped', url: url('a'), reason: 'a part of it is read' }]);
    expect(await readdir(dir)).toEqual([]);
    await read('a');
    expect((await read('a', 1000)).equals(bodyOf('a').subarray(1000))).toBe(true);
    expect(events.at(-1)?.kind).toBe('hit');
    expect(await read('a', SIZE)).toHaveLength(0);
    await expect(read('a', SIZE + 1)).rejects.toThrow(`asked for byte ${SIZE + 1} of an object of ${SIZE} bytes`);
  });

  const was = { body: noise(SIZE, 8) };
  const is = { body: noise(SIZE, 9) };
  const day = (n: number): string => new Date(n * 86_400_000).toUTCString();
  test.each<[string, Partial<Served>, Partial<Served>]>([
    ['an ETag', { etag: '"1"' }, { etag: '"2"' }],
    ['a weak ETag', { etag: 'W/"1"' }, { etag: 'W/"2"' }],
    ['Last-Modified', { lastModified: day(1) }, { lastModified: day(2) }],
    ['Last-Modified beside a weak ETag', { etag: 'W/"1"', lastModified: day(1) }, { etag: 'W/"1"', lastModified: day(2) }],
  ])('that was replaced is fetched anew, as %s shows', async (_what, before, after) => {
    objects.set('/a.tar', { ...was, ...before });
    await kindOf('a');
    expect(await kindOf('a')).toBe('hit');
    objects.set('/a.tar', { ...is, ...after });
    expect(await kindOf('a')).toBe('stored');
    expect(await kindOf('a')).toBe('hit');
  });

  test('that is replaced between the question and the answer is not kept under the old name', async () => {
    handler = (request, response) => {
      answer(request, response, objects.get(request.url ?? ''));
      if (request.headers.range === 'bytes=0-0') objects.set('/a.tar', { body: noise(SIZE, 9), etag: '"a2"' });
    };
    expect(await kindOf('a')).toBe('skipped');
    expect(events.at(-1)?.reason).toBe('it was replaced while it was read');
    expect(await readdir(dir)).toEqual([]);
  });

  test('whose server tells nothing of its version is not kept', async () => {
    objects.set('/a.tar', was);
    expect(await kindOf('a')).toBe('skipped');
    expect(await readdir(dir)).toEqual([]);
  });

  test('whose server ignores Range is kept all the same', async () => {
    handler = (request, response) => answer(request, response, objects.get(request.url ?? ''), { ranges: false });
    expect(await kindOf('a')).toBe('stored');
    expect(await kindOf('a')).toBe('hit');
  });

  test('of the same path on another server is another shard', async () => {
    const other = await startHttp((request, response) => answer(request, response, { body: is.body, etag: '"a1"' }));
    await read('a');
    expect((await collect(openShard(`${other.url}/a.tar`, { cache }))).equals(is.body)).toBe(true);
    await closeSources();
    await other.close();
  });

  test('whose copy has another length is fetched anew', async () => {
    await read('a');
    const [name = ''] = await files('.shard');
    await truncate(join(dir, name), SIZE - 1);
    expect(await kindOf('a')).toBe('stored');
    expect((await stat(join(dir, name))).size).toBe(SIZE);
  });

  /** A question about the version went unanswered for ever when the byte asked for came with all others, one at a time. */
  test.each<[string, Readonly<Record<string, string | number>>]>([
    ['with all bytes, one at a time', { 'content-length': SIZE, 'content-range': `bytes 0-${SIZE - 1}/${SIZE}` }],
    ['and never sends the byte', { 'content-length': 1, 'content-range': `bytes 0-0/${SIZE}` }],
  ])('whose server answers the question for its version %s is kept all the same', async (how, headers) => {
    const undo = setEnv({ DETCO_HTTP_TIMEOUT_MS: '300' });
    handler = (request, response) => {
      if (request.headers.range !== 'bytes=0-0') return answer(request, response, objects.get(request.url ?? ''));
      response.writeHead(206, { etag: '"a1"', ...headers }).flushHeaders();
      const drops = setInterval(() => how.startsWith('with') && response.write('a'), 20);
      response.on('close', () => clearInterval(drops));
    };
    expect(await kindOf('a')).toBe('stored');
    undo();
  });

  test('whose connection breaks is kept once it is whole', async () => {
    let cuts = 0;
    handler = (request, response) => {
      const cut = request.headers.range === 'bytes=0-0' || cuts++ > 1 ? {} : { cutAfter: 100_000 };
      answer(request, response, objects.get(request.url ?? ''), cut);
    };
    expect(await kindOf('a')).toBe('stored');
    expect(cuts).toBe(3);
    expect(await kindOf('a')).toBe('hit');
  });

  test('that a reader leaves early leaves no file and no connection', async () => {
    objects.set('/a.tar', { body: noise(5_000_000), etag: '"a1"' });
    for await (const _ of openShard(url('a'), { cache })) {
      expect(await files('.tmp')).toHaveLength(1);
      break;
    }
    expect(await readdir(dir)).toEqual([]);
    await closeSources();
    await until(async () => (await server.connections()) === 0);
  });

  test('that is aborted leaves no file', async () => {
    objects.set('/a.tar', { body: noise(5_000_000), etag: '"a1"' });
    const abort = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const _ of openShard(url('a'), { cache, signal: abort.signal })) abort.abort(new Error('enough'));
    };
    await expect(reading()).rejects.toThrow('enough');
    expect(await readdir(dir)).toEqual([]);
  });
});

test('many readers of one shard at once leave one copy of it', async () => {
  await Promise.all(Array.from({ length: 8 }, async () => expect((await read('a')).equals(bodyOf('a'))).toBe(true)));
  expect(kinds()).toContain('stored');
  expect(await files('.shard')).toHaveLength(1);
  expect(await files('.tmp')).toEqual([]);
});

describe('the limit', () => {
  test('is kept by evicting what was used longest ago', async () => {
    cache = await openCacheFolder(dir, 2.5 * SIZE);
    await read('a');
    await read('b');
    expect(await kindOf('a')).toBe('hit');
    await read('c');
    expect(await files('.shard')).toHaveLength(2);
    expect(await kindOf('a')).toBe('hit');
    expect(await kindOf('c')).toBe('hit');
    expect(await kindOf('b')).toBe('stored');
    // a was used before c.
    expect(await kindOf('a')).toBe('stored');
  });

  test('counts only shards: other files in the folder stay', async () => {
    await writeFile(join(dir, 'README'), noise(SIZE));
    cache = await openCacheFolder(dir, SIZE);
    await read('a');
    expect(await kindOf('b')).toBe('stored');
    expect((await stat(join(dir, 'README'))).size).toBe(SIZE);
  });

  test('below one shard is an error at once, with both sizes', async () => {
    cache = await openCacheFolder(dir, SIZE - 1);
    await expect(read('a')).rejects.toThrow(
      /a\.tar: cacheSize 299999 \(300 kB\) is less than the 300000 bytes \(300 kB\) of this shard; set it to at least 300000/,
    );
    expect(await readdir(dir)).toEqual([]);
  });

  test('that others need for what they store is not waited for', async () => {
    const foreign = `${'0'.repeat(40)}-${SIZE}.00000000-1-00000000-x.tmp`;
    await writeFile(join(dir, foreign), '');
    cache = await openCacheFolder(dir, 1.5 * SIZE);
    expect(await kindOf('a')).toBe('skipped');
    expect(events.at(-1)?.reason).toMatch(/600000 bytes are being stored, and 450000 is the limit/);
    expect(await readdir(dir)).toEqual([foreign]);
    // Two hours without a write: whoever made it is gone.
    const past = new Date(Date.now() - 7_200_000);
    await utimes(join(dir, foreign), past, past);
    expect(await kindOf('a')).toBe('stored');
    expect(await files('.tmp')).toEqual([]);
  });
});

describe('several processes', () => {
  interface Outcome {
    readonly hashes: Readonly<Record<string, string>>;
    readonly events: readonly string[];
  }

  function start(names: readonly string[], { limit, parallel = 1 }: { readonly limit?: number; readonly parallel?: number } = {}) {
    const child = spawn(process.execPath, [program, JSON.stringify({ urls: names.map(url), dir, limit, parallel })], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const outcome = new Promise<Outcome | undefined>((resolve, reject) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
      child.on('error', reject).on('close', (code) => resolve(code === 0 ? (JSON.parse(text) as Outcome) : undefined));
    });
    return { child, outcome };
  }

  /**
   * No more than the folder held at one moment. Others write and remove meanwhile, so a file counts only when a second look, after the first
   * one has ended, finds the same one still there, with its size at the first: files grow and never shrink.
   */
  async function bytesInFolder(): Promise<number> {
    const look = async (names: readonly string[]): Promise<(Stats | undefined)[]> =>
      Promise.all(names.map((name) => stat(join(dir, name)).catch(() => undefined)));
    const names = await readdir(dir);
    const before = await look(names);
    const after = await look(names);
    const kept = before.filter((file, i) => file && file.ino === after[i]?.ino && file.birthtimeMs === after[i].birthtimeMs);
    return kept.reduce((total, file) => total + (file?.size ?? 0), 0);
  }

  const expected = (names: readonly string[]): Record<string, string> =>
    Object.fromEntries(names.map((name) => [url(name), createHash('sha256').update(bodyOf(name)).digest('hex')]));

  test('that read the same shard at once both get it, and one of them stores it', async () => {
    // Neither has a byte of it before both have asked for it.
    const waiting: (() => void)[] = [];
    handler = (request, response) => {
      const reply = (): void => answer(request, response, objects.get(request.url ?? ''));
      if (request.headers.range === 'bytes=0-0') return reply();
      waiting.push(reply);
      if (waiting.length === 2) for (const go of waiting) go();
    };
    const first = start(['a']).outcome;
    await until(async () => (await files('.tmp')).length === 1);
    const outcomes = await Promise.all([first, start(['a']).outcome]);
    for (const outcome of outcomes) expect(outcome?.hashes).toEqual(expected(['a']));
    expect(outcomes.flatMap((outcome) => outcome?.events ?? []).toSorted()).toEqual(['skipped', 'stored']);
    expect(await readdir(dir)).toHaveLength(1);
    expect(await kindOf('a')).toBe('hit');
  });

  test('never have more on the disk than the limit, and read what is there', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
    names.forEach((name, i) => objects.set(`/${name}.tar`, { body: noise(SIZE, i + 20), etag: '"1"' }));
    const limit = 4 * SIZE;
    const runs = [start(names, { limit, parallel: 3 }), start(names.toReversed(), { limit, parallel: 3 })];
    let over = false;
    const outcomes = Promise.all(runs.map(({ outcome }) => outcome)).finally(() => (over = true));
    let most = 0;
    await until(async () => {
      most = Math.max(most, await bytesInFolder());
      return over;
    });
    for (const outcome of await outcomes) expect(outcome?.hashes).toEqual(expected(names));
    expect(most).toBeGreaterThan(2 * SIZE);
    expect(most).toBeLessThanOrEqual(limit);
    expect(await files('.tmp')).toEqual([]);
  });

  test('one of which has stored the shard since the other looked for it: no second copy is made beside it', async () => {
    expect(await kindOf('a')).toBe('stored');
    const [name = ''] = await readdir(dir);
    const [key = '', bytes] = basename(name, '.shard').split('-');
    await expect(reserve(await openCacheFolder(dir, 2 * SIZE), { key, bytes: Number(bytes) })).resolves.toBe(
      'another reader has just stored it',
    );
    expect(await readdir(dir)).toEqual([name]);
  });

  test('one of which is killed while it writes: the next removes what it left and stores the shard', async () => {
    let held: ServerResponse | undefined;
    handler = (request, response) => {
      if (request.headers.range === 'bytes=0-0') return answer(request, response, { body: noise(5_000_000), etag: '"a1"' });
      held = response.writeHead(200, { 'content-length': 5_000_000, etag: '"a1"' });
      held.write(noise(5_000_000).subarray(0, 2_000_000));
    };
    const { child, outcome } = start(['a']);
    await until(async () => {
      const [name] = await files('.tmp');
      return name !== undefined && (await stat(join(dir, name))).size > 1_000_000;
    });
    child.kill('SIGKILL');
    expect(await outcome).toBeUndefined();
    held?.destroy();
    expect([(await files('.tmp')).length, (await files('.shard')).length]).toEqual([1, 0]);
    handler = (request, response) => answer(request, response, objects.get(request.url ?? ''));
    expect(await kindOf('a')).toBe('stored');
    expect(await files('.tmp')).toEqual([]);
  });

  test('one of which takes away the file that another writes: the stream goes on', async () => {
    objects.set('/a.tar', { body: noise(3_000_000), etag: '"a1"' });
    const parts: Uint8Array[] = [];
    for await (const part of openShard(url('a'), { cache, onCache: (event) => events.push(event) })) {
      if (parts.length === 0) for (const name of await readdir(dir)) await rm(join(dir, name));
      parts.push(part);
    }
    expect(Buffer.concat(parts).equals(bodyOf('a'))).toBe(true);
    expect(kinds()).toEqual(['failed']);
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('a folder', () => {
  test('that is gone costs a report and nothing else', async () => {
    await rm(dir, { recursive: true });
    expect(await kindOf('a')).toBe('failed');
    expect(events.at(-1)?.reason).toMatch(/it cannot be cached in .*ENOENT.*; check the folder/);
  });

  // Mounting needs root; without it the tests are reported as skipped.
  const withDisk = mayMount() ? test : test.skip;
  withDisk('on a disk that runs full costs a report; the stream goes on and the disk is left clean', async () => {
    objects.set('/a.tar', { body: noise(3_000_000), etag: '"a1"' });
    mountDisk(dir, '1m');
    try {
      cache = await openCacheFolder(dir, 10_000_000);
      expect(await kindOf('a')).toBe('failed');
      expect(events.at(-1)?.reason).toMatch(/it cannot be cached in .*ENOSPC.*; free some space, or set a smaller cacheSize/);
      expect(await readdir(dir)).toEqual([]);
      // Without a limit of its own the folder keeps to what the disk has.
      cache = await openCacheFolder(dir);
      expect(await kindOf('a')).toBe('skipped');
      expect(await kindOf('b')).toBe('stored');
    } finally {
      unmountDisk(dir);
    }
  });
});

describe('an amount of bytes', () => {
  test.each([
    ['200GB', 200e9],
    ['1.5TiB', 1.5 * 2 ** 40],
    ['64 mib', 64 * 2 ** 20],
    ['200G', 200 * 2 ** 30],
    ['200g', 200 * 2 ** 30],
    ['200Gi', 200 * 2 ** 30],
    ['1.5T', 1.5 * 2 ** 40],
    ['512k', 512 * 2 ** 10],
    ['1P', 2 ** 50],
    ['1PB', 1e15],
    ['1000', 1000],
    [1000, 1000],
  ])('%p is %d', (text, bytes) => expect(parseByteSize(text)).toBe(bytes));

  test.each(['', 'GB', '1XB', '1GG', '1 G B', '1,5T', '-1GB', '0', '1e9', 'ten', 0, -1, NaN, Infinity])('%p is refused', (text) => {
    expect(() => parseByteSize(text)).toThrow(`"${text}" is no amount of bytes; expected for example 200G (`);
  });
});
