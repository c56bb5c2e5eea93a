/** Servers that speak S3 each in their own way: the same contract, the same bytes over connections that break, the same words. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  askShard,
  type CacheEvent,
  closeSources,
  findShards,
  listShards,
  openCacheFolder,
  openShard,
  SourceError,
} from '#dist/pipeline/source/index.js';
import { collect, noise } from '../../support/bytes.js';
import { startChaosProxy } from '../../support/chaos-proxy.js';
import { setEnv } from '../../support/env.js';
import { openFiles } from '../../support/open-files.js';
import { type RunningS3, s3Programs } from '../../support/s3-servers.js';
import { testSource } from './contract.js';

for (const program of s3Programs) {
  if (program.missing !== undefined) {
    test.skip(`${program.name} (${program.missing})`, () => {});
    continue;
  }

  for (const cached of [false, true]) {
    testSource(`${cached ? 'cached ' : ''}s3 of ${program.name}`, async (objects) => {
      const server = await program.start(objects);
      // Counts the connections of a server that is another process.
      const proxy = await startChaosProxy({ target: server.endpoint, seed: 1 });
      const restore = setEnv({ ...server.env, AWS_ENDPOINT_URL: proxy.url });
      const folder = await mkdtemp(join(tmpdir(), 'detco-cached-'));
      return {
        location: (name) => `s3://shards/${name}`,
        inUse: async () => (await proxy.connections()) + (await openFiles((path) => dirname(path) === folder)),
        ...(cached && { cache: await openCacheFolder(folder) }),
        async close() {
          restore();
          await proxy.close();
          await server.close();
          await rm(folder, { recursive: true });
        },
      };
    });
  }

  describe(program.name, () => {
    const large = noise(5_000_003, 7);
    const location = 's3://shards/train/large.tar';
    let server: RunningS3;
    let restore: () => void;
    let folder: string;
    beforeAll(async () => {
      server = await program.start({ 'train/large.tar': large, 'train/small.tar': noise(10), 'train/note.txt': noise(1) });
      restore = setEnv({ ...server.env, DETCO_HTTP_TIMEOUT_MS: '400', DETCO_HTTP_RETRIES: '12' });
      folder = await mkdtemp(join(tmpdir(), 'detco-s3-servers-'));
    });
    afterAll(async () => {
      restore();
      await closeSources();
      await server.close();
      await rm(folder, { recursive: true });
    });

    test.each([3, 8])('behind a network that drops, stalls and refuses: every read is whole (seed %d)', async (seed) => {
      const chaos = await startChaosProxy({ target: server.endpoint, seed, drop: 0.5, stall: 0.1, error503: 0.1 });
      const undo = setEnv({ AWS_ENDPOINT_URL: chaos.url });
      try {
        for (const [start, end] of [[0], [0, 2_000_000], [1_234_567], [1_000_000, 4_000_000]] as const) {
          const read = await collect(openShard(location, { start, ...(end !== undefined && { end }) }));
          expect(read.equals(large.subarray(start, end))).toBe(true);
        }
        expect(chaos.counters.dropped).toBeGreaterThan(0);
      } finally {
        undo();
        await closeSources();
        await chaos.close();
      }
    });

    test('lists its tar files', async () => {
      expect(await listShards(['s3://shards/train/'])).toEqual(['s3://shards/train/large.tar', 's3://shards/train/small.tar']);
    });

    test('says of an object in a listing what it says of the object itself, for a run holds one to the other', async () => {
      for (const { location: listed, bytes, version } of await findShards(['s3://shards/train/'])) {
        expect(bytes).toBeGreaterThan(0);
        const asked = await askShard(listed);
        expect(asked.bytes).toBe(bytes);
        if (version !== undefined) expect(asked.version).toBe(version);
      }
    });

    test('is cached, and asked again after an object was replaced by one of the same size', async () => {
      await server.put('train/turn.tar', large.subarray(0, 1_000_000));
      const cache = await openCacheFolder(folder);
      const events: CacheEvent['kind'][] = [];
      const read = (): Promise<Buffer> =>
        collect(openShard('s3://shards/train/turn.tar', { cache, onCache: ({ kind }) => events.push(kind) }));
      const before = await read();
      expect((await read()).equals(before)).toBe(true);
      await server.put('train/turn.tar', large.subarray(1_000_000, 2_000_000));
      expect((await read()).equals(large.subarray(1_000_000, 2_000_000))).toBe(true);
      expect(events).toEqual(['stored', 'hit', 'stored']);
    });

    test('that replaces an object in the middle of a read ends it', async () => {
      await server.put('train/splice.tar', large);
      const chaos = await startChaosProxy({ target: server.endpoint, seed: 1, drop: 1, withinBytes: 1_000_000 });
      const undo = setEnv({ AWS_ENDPOINT_URL: chaos.url });
      try {
        let replaced = false;
        const reading = (async () => {
          for await (const _ of openShard('s3://shards/train/splice.tar')) {
            if (!replaced) await server.put('train/splice.tar', noise(large.byteLength, 9));
            replaced = true;
          }
        })();
        await expect(reading).rejects.toThrow(/object changed while it was read/);
      } finally {
        undo();
        await closeSources();
        await chaos.close();
      }
    });

    test.each([
      ['an unknown access key', { AWS_ACCESS_KEY_ID: 'nobody' }, location, /check AWS_ACCESS_KEY_ID or AWS_PROFILE/],
      ['a wrong secret', { AWS_SECRET_ACCESS_KEY: 'wrong' }, location, /check AWS_SECRET_ACCESS_KEY/],
      ['an unknown bucket', {}, 's3://nowhere/a.tar', /no such bucket "nowhere"/],
    ])('says of %s what it is', async (_what, env, url, message) => {
      const undo = setEnv(env);
      const error: unknown = await collect(openShard(url)).catch((error: unknown) => error);
      undo();
      expect(error).toBeInstanceOf(SourceError);
      expect(String(error)).toMatch(message);
    });
  });
}
