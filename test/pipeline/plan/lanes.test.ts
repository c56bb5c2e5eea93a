import { describe, expect, test } from '@jest/globals';
import { laneShards, type PlanOptions } from '#dist/pipeline/plan/lanes.js';
import fc from 'fast-check';

const planArbitrary = fc.record({
  shards: fc.integer({ min: 1, max: 60 }),
  lanes: fc.integer({ min: 1, max: 24 }),
  seed: fc.nat(),
  shuffle: fc.constantFrom(0, 16),
});

/** Samples 0..perShard-1 of every shard that the lanes read, as `shard:index`. */
function read(plan: PlanOptions, epoch: number, perShard: number): string[] {
  return Array.from({ length: plan.lanes }, (_, lane) => laneShards(plan, epoch, lane))
    .flat()
    .flatMap(({ shard, part, parts }) =>
      Array.from({ length: perShard }, (_, index) => index)
        .filter((index) => index % parts === part)
        .map((index) => `${shard}:${index}`),
    );
}

describe('laneShards', () => {
  test('the lanes together read every sample of every shard exactly once', () => {
    fc.assert(
      fc.property(planArbitrary, fc.nat(5), (plan, epoch) => {
        const samples = read(plan, epoch, 7);
        expect(new Set(samples).size).toBe(samples.length);
        expect(samples.length).toBe(7 * plan.shards);
      }),
    );
  });

  test('shuffling changes the order of shards from epoch to epoch; not shuffling keeps it', () => {
    const plan = { shards: 40, lanes: 4, seed: 1, shuffle: 16 };
    expect(laneShards(plan, 0, 0)).not.toEqual(laneShards(plan, 1, 0));
    expect(laneShards(plan, 0, 0)).toEqual(laneShards(plan, 0, 0));
    expect(laneShards({ ...plan, shuffle: 0 }, 3, 1).map(({ shard }) => shard)).toEqual([1, 5, 9, 13, 17, 21, 25, 29, 33, 37]);
  });
});
