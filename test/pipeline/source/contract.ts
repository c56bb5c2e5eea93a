/** What every source of shard bytes promises. Each backend runs this on a real file system or server. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  askShard,
  type CacheFolder,
  closeSources,
  listShards,
  openShard,
  type OpenOptions,
  SourceError,
} from '#dist/pipeline/source/index.js';
import { collect, noise, until } from '../../support/bytes.js';

export interface SourceUnderTest {
  /** Read by way of this folder. */
  readonly cache?: CacheFolder;
  /** Location of the object of that name. */
  location(name: string): string;
  /** Files or connections in use for an object of that name. */
  inUse(name: string): Promise<number>;
  close(): Promise<void>;
}

/** @param start serves the objects and prepares the environment */
export function testSource(name: string, start: (objects: Readonly<Record<string, Buffer>>) => Promise<SourceUnderTest>): void {
  describe(`${name} source`, () => {
    const large = noise(5_000_003, 7);
    const objects = {
      'large.tar': large,
      'small.tar': noise(10, 8),
      'empty.tar': Buffer.alloc(0),
      'deep/odd name+(1)&é.tar': noise(1000, 9),
    };
    let source: SourceUnderTest;
    beforeAll(async () => {
      source = await start(objects);
    });
    const open = (name: string, options: OpenOptions = {}) =>
      openShard(source.location(name), { ...options, ...(source.cache && { cache: source.cache }) });
    afterAll(async () => {
      await closeSources();
      await source.close();
    });

    test.each(Object.keys(objects))('reads every byte of %s', async (key) => {
      const expected = objects[key as keyof typeof objects];
      expect((await collect(open(key))).equals(expected)).toBe(true);
    });

    test('says what each object is, and which are missing, without reading them', async () => {
      for (const [key, { byteLength: bytes }] of Object.entries(objects)) {
        const location = source.location(key);
        const asked = await askShard(location);
        expect(asked).toMatchObject({ location, bytes });
        if (bytes > 0) expect(asked.version).toMatch(/./);
        expect(await askShard(location)).toEqual(asked);
      }
      await expect(askShard(source.location('missing.tar'))).rejects.toMatchObject({ name: 'SourceError', kind: 'missing' });
    });

    test('reads from an offset', async () => {
      const start = 1_234_567;
      expect((await collect(open('large.tar', { start }))).equals(large.subarray(start))).toBe(true);
    });

    test.each([
      [0, 10],
      [1_234_567, 1_234_568],
      [1_234_567, 3_456_789],
      [4_000_000, large.byteLength],
      [77, 77],
    ])('reads the bytes from %i to before %i and no others', async (start, end) => {
      expect((await collect(open('large.tar', { start, end }))).equals(large.subarray(start, end))).toBe(true);
    });

    test('refuses an end beyond the end', async () => {
      for (const start of [0, 5_000_000, large.byteLength]) {
        const beyond = collect(open('large.tar', { start, end: large.byteLength + 1 }));
        await expect(beyond).rejects.toThrow(/5000004 of an? \w+ of 5000003 bytes/);
      }
    });

    test('has nothing left at the end and an error beyond it', async () => {
      expect(await collect(open('large.tar', { start: large.byteLength }))).toHaveLength(0);
      const beyond = collect(open('large.tar', { start: large.byteLength + 1 }));
      await expect(beyond).rejects.toThrow(/asked for byte 5000004 of an? \w+ of 5000003 bytes/);
    });

    test('yields chunks of at least 64 KiB, but for the last', async () => {
      const sizes: number[] = [];
      for await (const chunk of open('large.tar')) sizes.push(chunk.byteLength);
      expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThanOrEqual(64 << 10);
    });

    test('lets go of its file or socket when the reader leaves early', async () => {
      for await (const chunk of open('large.tar')) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        expect(await source.inUse('large.tar')).toBeGreaterThan(0);
        break;
      }
      await closeSources();
      await until(async () => (await source.inUse('large.tar')) === 0);
    });

    test('ends with the reason of an abort', async () => {
      const abort = new AbortController();
      const reason = new Error('enough');
      const read = async (): Promise<void> => {
        for await (const _ of open('large.tar', { signal: abort.signal })) abort.abort(reason);
      };
      await expect(read()).rejects.toBe(reason);
      await closeSources();
      await until(async () => (await source.inUse('large.tar')) === 0);
      await expect(collect(open('large.tar', { signal: abort.signal }))).rejects.toBe(reason);
    });

    test('names what is missing', async () => {
      const location = source.location('missing.tar');
      const error: unknown = await collect(open('missing.tar')).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(SourceError);
      expect(String(error)).toContain(location);
      expect(String(error)).toMatch(/no such (file|object)/);
    });

    test('expands braces in its locations', async () => {
      expect(await listShards([source.location('{large,small}.tar')])).toEqual([
        source.location('large.tar'),
        source.location('small.tar'),
      ]);
    });
  });
}
