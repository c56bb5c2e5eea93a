import { describe, expect, test } from '@jest/globals';
import { shuffleQuality } from '#dist/pipeline/plan/shuffle-quality.js';

const even = (shards: number, count: number): number[] => Array.from({ length: shards }, () => count);

describe('shuffleQuality', () => {
  test('sees no shuffling as none', () => {
    const { shardsPerBatch, neighbourDistance } = shuffleQuality(even(10, 100), { lanes: 1, shuffle: 0, batchSize: 50 });
    expect(shardsPerBatch.plan).toBe(1);
    expect(neighbourDistance.plan).toBe(1 / 1000);
  });

  test('counts the shards that lanes bring into a batch', () => {
    const { shardsPerBatch } = shuffleQuality(even(64, 100), { lanes: 16, shuffle: 0, batchSize: 64 });
    expect(shardsPerBatch.plan).toBe(16);
    // 64 shards drawn 64 times: 64 (1 - 1/e) of them, about.
    expect(shardsPerBatch.full).toBeGreaterThan(40);
    expect(shardsPerBatch.full).toBeLessThan(41);
  });

  test('sees a buffer that holds a lane whole as a full shuffle', () => {
    const { shardsPerBatch, neighbourDistance } = shuffleQuality(even(8, 250), { lanes: 1, shuffle: 100_000, batchSize: 100, seed: 4 });
    // It starts with eight samples and fills while they leave, so the first half of the epoch is not as free as the second.
    expect(neighbourDistance.plan).toBeGreaterThan(0.5 * neighbourDistance.full);
    expect(shardsPerBatch.plan).toBeGreaterThan(0.6 * shardsPerBatch.full);
  });

  test('grows with the buffer and is the same however the epoch is divided, about', () => {
    const counts = even(128, 200);
    const distances = [0, 16, 64, 512].map(
      (shuffle) => shuffleQuality(counts, { lanes: 16, shuffle, batchSize: 256 }).neighbourDistance.plan,
    );
    expect(distances.toSorted((a, b) => a - b)).toEqual(distances);
    const options = { lanes: 16, shuffle: 64, batchSize: 256 } as const;
    const [byShards, bySamples] = [shuffleQuality(counts, options), shuffleQuality(counts, { ...options, divide: 'samples' })];
    expect(bySamples.neighbourDistance.plan).toBeCloseTo(byShards.neighbourDistance.plan, 2);
  });

  test('takes shards of any size, none at all too', () => {
    for (const counts of [[], [0], [0, 1, 0], [5, 0, 900, 3]]) {
      const { shardsPerBatch, neighbourDistance } = shuffleQuality(counts, { lanes: 4, shuffle: 8, batchSize: 16 });
      for (const value of [...Object.values(shardsPerBatch), ...Object.values(neighbourDistance)])
        expect(Number.isFinite(value)).toBe(true);
    }
  });
});
