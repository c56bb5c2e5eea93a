/** Decoded images kept from epoch to epoch: in memory that threads share, and never in the place of others. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPipeline, recipes } from '#dist/pipeline/index.js';
import { type Augmenter, createAugmenter, type DecodedImage, type LoadedImage } from '#dist/pipeline/augment/augmenter.js';
import { viewBytes } from '#dist/pipeline/augment/recipe.js';
import { LaneMeters } from '#dist/pipeline/profile/lane-meters.js';
import { Meters } from '#dist/pipeline/profile/meters.js';
import { DecodedCache } from '#dist/pipeline/worker/decoded-cache.js';
import { DecodeRoom } from '#dist/pipeline/worker/decode-room.js';
import { decodeImage } from '#dist/pipeline/worker/decode.js';
import { type GoodSample, laneSamples } from '#dist/pipeline/worker/lane.js';
import { writeTestShards } from '../../support/shards.js';

const place = (shard: number, index: number) => ({ shard, index });
const bytesOf = (n: number): Uint8Array => Uint8Array.from({ length: 50 }, (_, i) => n + i);

/** An image that no other number has. */
function imageOf(n: number, width = 16, height = 8): DecodedImage {
  return { width, height, data: new Uint8Array(3 * width * height).fill(n) };
}

describe('a decoded cache', () => {
  test('gives what was put at a place, and nothing at others', () => {
    const cache = new DecodedCache(DecodedCache.allocate(1 << 20));
    for (let n = 0; n < 60; n++) cache.put(place(n % 3, n), bytesOf(n), imageOf(n, 5 + n, 7));
    for (let n = 0; n < 60; n++) {
      expect(cache.get(place(n % 3, n), bytesOf(n))).toEqual(imageOf(n, 5 + n, 7));
      expect(cache.get(place((n + 1) % 3, n), bytesOf(n))).toBeUndefined();
    }
    expect(cache.get(place(0, 60), bytesOf(60))).toBeUndefined();
  });

  test('gives nothing for other bytes than those that were decoded, as many or fewer', () => {
    const cache = new DecodedCache(DecodedCache.allocate(1 << 16));
    cache.put(place(1, 2), bytesOf(3), imageOf(3));
    expect(cache.get(place(1, 2), bytesOf(4))).toBeUndefined();
    expect(cache.get(place(1, 2), bytesOf(3).subarray(0, 49))).toBeUndefined();
    expect(cache.get(place(1, 2), bytesOf(3))).toEqual(imageOf(3));
  });

  test('keeps those that came first once it is full, and holds about as many bytes as it was made for', () => {
    const cache = new DecodedCache(DecodedCache.allocate(64 * 1024));
    for (let n = 0; n < 200; n++) cache.put(place(0, n), bytesOf(n % 200), imageOf(n % 256, 32, 16));
    const kept = Array.from({ length: 200 }, (_, n) => cache.get(place(0, n), bytesOf(n % 200)) !== undefined);
    const count = kept.filter(Boolean).length;
    // Of 1.5 KiB each.
    expect(count).toBeGreaterThanOrEqual(42);
    expect(count).toBeLessThanOrEqual(44);
    expect(kept.slice(0, count).every(Boolean)).toBe(true);
    expect(cache.get(place(0, 5), bytesOf(5))).toEqual(imageOf(5, 32, 16));
    cache.put(place(9, 9), bytesOf(1), imageOf(1, 300, 300));
    expect(cache.get(place(9, 9), bytesOf(1))).toBeUndefined();
  });

  test('is the same for all threads that have its memory, who may write at the same time', async () => {
    const buffer = DecodedCache.allocate(4 << 20);
    const url = import.meta.resolve('#dist/pipeline/worker/decoded-cache.js');
    const code = `
      import('${url}').then(({ DecodedCache }) => {
        const { workerData } = require('node:worker_threads');
        const cache = new DecodedCache(workerData.buffer);
        for (let n = workerData.first; n < 900; n += 2) {
          cache.put({ shard: 4, index: n }, new Uint8Array([n, n >> 8]), { width: 4, height: 4, data: new Uint8Array(48).fill(n) });
        }
      });`;
    const writers = [0, 1].map((first) => new Worker(code, { eval: true, workerData: { buffer, first } }));
    await Promise.all(writers.map((writer) => new Promise((done, failed) => writer.once('exit', done).once('error', failed))));
    const cache = new DecodedCache(buffer);
    for (let n = 0; n < 900; n++) {
      const data = new Uint8Array(48).fill(n);
      expect(cache.get(place(4, n), new Uint8Array([n, n >> 8]))).toEqual({ width: 4, height: 4, data });
    }
  });
});

describe('a pipeline with a decoded cache', () => {
  const recipe = recipes.detco({ globalSize: 24, patchSize: 8 });
  let folder: string;
  let shards: string[];
  let augmenter: Augmenter;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-decoded-'));
    shards = await writeTestShards(folder, { counts: [11, 9], bad: ['s0-003'] });
    augmenter = await createAugmenter(recipe);
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function views(decodedCache?: string): Promise<string[]> {
    const options = { shards, recipe, batchSize: 4, seed: 3, epochs: 3, lanes: 2, workers: 2, maxBadSamples: 3 };
    const all: string[] = [];
    for await (const { views: made, samples } of await createPipeline({ ...options, ...(decodedCache && { decodedCache }) }))
      all.push(samples.map(({ key }) => key).join() + Buffer.from(made['globalQ']?.data ?? []).toString('base64'));
    return all;
  }

  test.each(['1MB', '10KB'])('of %s, makes the batches of one without', async (size) => {
    const expected = await views();
    expect(expected).toHaveLength(12);
    expect(await views(size)).toEqual(expected);
  });

  /** What the only lane gives in one epoch. */
  async function* samplesOf(epoch: number, decoded: DecodedCache): AsyncGenerator<GoodSample> {
    const meters = new Meters({ workers: 1, lanes: 1, slots: 1, views: [], spans: 0 });
    yield* laneSamples({
      plan: { shards: shards.length, lanes: 1, seed: 0, shuffle: 4 },
      shards,
      epoch,
      lane: 0,
      done: { taken: 0, good: 0 },
      augmenter,
      decoder: 'wasm',
      draft: false,
      compressed: false,
      maxPixels: 10_000,
      room: new DecodeRoom(1 << 20),
      decoded,
      signal: new AbortController().signal,
      onBad: () => {},
      meters: new LaneMeters(meters, meters.thread(0), 0),
    });
  }

  function render(loaded: LoadedImage, sample: { readonly shard: number; readonly index: number }): Record<string, Uint8Array> {
    const out = Object.fromEntries(Object.entries(recipe.views).map(([name, view]) => [name, new Uint8Array(viewBytes(view))]));
    loaded.render({ seed: 0, epoch: 1, ...sample }, out);
    loaded.unload();
    return out;
  }

  test('takes the pixels that are in it, and puts in those that are not', async () => {
    const filled = new DecodedCache(DecodedCache.allocate(1 << 20));
    const others = new DecodedCache(DecodedCache.allocate(1 << 20));
    let decoded = 0;
    for await (const { shard, index, image = Buffer.alloc(0), loaded } of samplesOf(0, filled)) {
      loaded.unload();
      decoded++;
      expect(filled.get({ shard, index }, image)).toEqual(await decodeImage(image));
      others.put({ shard, index }, image, imageOf(10 * shard + index, 20, 30));
    }
    expect(decoded).toBe(19);
    let taken = 0;
    for await (const { shard, index, loaded } of samplesOf(1, others)) {
      taken++;
      const other = augmenter.load(imageOf(10 * shard + index, 20, 30));
      expect(render(loaded, { shard, index })).toEqual(render(other, { shard, index }));
    }
    expect(taken).toBe(19);
  });

  test('of a size of 0 is none', async () => {
    expect(await views('0')).toEqual(await views());
  });

  test('says what is wrong with its size', async () => {
    await expect(createPipeline({ shards, recipe, batchSize: 4, decodedCache: '900TB' })).rejects.toThrow(
      /option decodedCache: "900TB" is more than this Node can share, \d.* [GT]B; use less/,
    );
    await expect(createPipeline({ shards, recipe, batchSize: 4, decodedCache: 'plenty' })).rejects.toThrow(
      /option decodedCache: "plenty" is no amount of bytes; expected for example/,
    );
  });
});
