import { describe, expect, test } from '@jest/globals';
import { divideSamples } from '#dist/pipeline/plan/division.js';
import { epochSteps, laneShards, laneShare, type PlanOptions } from '#dist/pipeline/plan/lanes.js';
import { rankLanes } from '#dist/pipeline/plan/state.js';
import { turnOf } from '#dist/pipeline/plan/turns.js';
import fc from 'fast-check';

interface World {
  readonly plan: PlanOptions;
  readonly worldSize: number;
  readonly batchSize: number;
}

/** Any shards, empty ones too, with at least a sample a lane. */
const world = fc
  .record({
    counts: fc.array(fc.nat(23), { minLength: 1, maxLength: 30 }),
    worldSize: fc.integer({ min: 1, max: 5 }),
    lanesPerRank: fc.integer({ min: 1, max: 6 }),
    batchSize: fc.integer({ min: 1, max: 9 }),
    seed: fc.nat(),
    shuffle: fc.constantFrom(0, 4),
    dropLast: fc.boolean(),
  })
  .map(({ counts, worldSize, lanesPerRank, batchSize, dropLast, ...rest }): World => {
    const plan = { shards: counts.length, lanes: worldSize * lanesPerRank, ...rest, division: { counts, dropLast } };
    return { plan, worldSize, batchSize };
  })
  .filter(({ plan }) => total(plan) >= plan.lanes);

function total({ division }: PlanOptions): number {
  return (division?.counts ?? []).reduce((sum, count) => sum + count, 0);
}

/** What a lane hands out when no sample is bad: its run, again and again, until it has given what it owes. */
function laneSamples(plan: PlanOptions, epoch: number, lane: number): string[] {
  const run = laneShards(plan, epoch, lane).flatMap(({ shard, from, to }) =>
    Array.from({ length: to - from }, (_, i) => `${shard}:${from + i}`),
  );
  const { own, quota } = laneShare(plan, lane);
  expect(run).toHaveLength(own);
  return Array.from({ length: quota }, (_, k) => run[k % run.length] ?? '');
}

/** The batches of one rank in one epoch. */
function rankBatches({ plan, worldSize, batchSize }: World, epoch: number, rank: number): string[][] {
  const lanes = rankLanes({ lanes: plan.lanes, rank, worldSize });
  const samples = lanes.map((lane) => laneSamples(plan, epoch, lane));
  const order: string[] = [];
  samples.forEach((lane, place) =>
    lane.forEach((sample, k) => {
      order[turnOf(place, k, lanes.length, (other) => ({ ready: samples[other]?.length ?? 0, dry: true }))] = sample;
    }),
  );
  const steps = epochSteps(plan, worldSize, batchSize) ?? 0;
  return Array.from({ length: steps }, (_, step) => order.slice(step * batchSize, (step + 1) * batchSize));
}

const ranks = ({ worldSize }: World): number[] => Array.from({ length: worldSize }, (_, rank) => rank);

describe('an epoch divided by samples', () => {
  test('is cut into runs that are disjoint, in order, and hold all samples but fewer than there are lanes', () => {
    fc.assert(
      fc.property(world, fc.nat(3), ({ plan }, epoch) => {
        const runs = Array.from({ length: plan.lanes }, (_, lane) =>
          laneShards(plan, epoch, lane).flatMap(({ shard, from, to }) =>
            Array.from({ length: to - from }, (_, i) => `${shard}:${from + i}`),
          ),
        );
        const all = runs.flat();
        expect(new Set(all).size).toBe(all.length);
        const left = total(plan) - all.length;
        if (plan.division?.dropLast) expect(left).toBe(total(plan) % plan.lanes);
        else expect(left).toBe(0);
        const lengths = runs.map((run) => run.length);
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(plan.division?.dropLast ? 0 : 1);
        if (plan.shuffle === 0) {
          const written = (plan.division?.counts ?? []).flatMap((count, shard) => Array.from({ length: count }, (_, i) => `${shard}:${i}`));
          expect(all).toEqual(written.slice(0, all.length));
        }
      }),
    );
  });

  test('gives every rank the same number of batches of the same sizes', () => {
    fc.assert(
      fc.property(world, fc.nat(3), (one, epoch) => {
        const sizes = ranks(one).map((rank) => rankBatches(one, epoch, rank).map((batch) => batch.length));
        for (const other of sizes) expect(other).toEqual(sizes[0]);
        const whole = one.plan.division?.dropLast ? sizes[0] : sizes[0]?.slice(0, -1);
        for (const size of whole ?? []) expect(size).toBe(one.batchSize);
      }),
    );
  });

  test('shows every sample once: with dropLast all but the stated few, without it the stated few twice', () => {
    fc.assert(
      fc.property(world, fc.nat(3), (one, epoch) => {
        const { plan, worldSize, batchSize } = one;
        const seen = ranks(one).flatMap((rank) => rankBatches(one, epoch, rank).flat());
        const distinct = new Set(seen).size;
        if (plan.division?.dropLast) {
          expect(distinct).toBe(seen.length);
          const uneven = total(plan) % plan.lanes;
          const unfilled = (total(plan) - uneven) % (batchSize * worldSize);
          expect(seen.length).toBe(total(plan) - uneven - unfilled);
        } else {
          expect(distinct).toBe(total(plan));
          const lacking = (plan.lanes - (total(plan) % plan.lanes)) % plan.lanes;
          expect(seen.length).toBe(total(plan) + lacking);
        }
      }),
    );
  });

  test('takes the same samples in each step on any number of ranks when lanes divide the global batch', () => {
    const sizes = [1, 2, 3, 4, 6, 12];
    fc.assert(
      fc.property(world, fc.nat(2), fc.integer({ min: 1, max: 3 }), ({ plan }, epoch, rounds) => {
        const lanes = 12;
        fc.pre(total(plan) >= lanes);
        const steps = sizes.map((worldSize) => {
          const one = { plan: { ...plan, lanes }, worldSize, batchSize: (lanes * rounds) / worldSize };
          const batches = ranks(one).map((rank) => rankBatches(one, epoch, rank));
          return (batches[0] ?? []).map((_, step) => batches.flatMap((rank) => rank[step] ?? []).toSorted());
        });
        for (const other of steps) expect(other).toEqual(steps[0]);
      }),
    );
  });
});

describe('divideSamples refuses', () => {
  const options = { lanes: 8, worldSize: 4, batchSize: 5, dropLast: true };
  test.each([
    [
      'less than one step',
      [4, 5, 6, 4],
      options,
      /batchSize: 5 on worldSize 4 are 20 samples a step, and the shards have 19; use batchSize 4/,
    ],
    ['fewer samples than lanes', [1, 1, 1, 3], { ...options, batchSize: 1 }, /8 lanes for 6 samples; use at most 6 lanes/],
    [
      'lanes that leave a rank less than a batch',
      [8, 7, 4, 4],
      options,
      /batchSize: 5 is more than the 4 samples that each of 4 ranks gets when 23 samples are cut into 8 equal lanes; use at most 4/,
    ],
  ])('%s', (_, counts, options, message) => {
    expect(() => divideSamples(counts, options)).toThrow(RangeError);
    expect(() => divideSamples(counts, options)).toThrow(message);
  });

  test('nothing that gives every rank a batch', () => {
    fc.assert(
      fc.property(world, ({ plan, worldSize, batchSize }) => {
        const { counts = [], dropLast = true } = plan.division ?? {};
        const steps = epochSteps(plan, worldSize, batchSize) ?? 0;
        fc.pre(total(plan) >= batchSize * worldSize);
        const divide = () => divideSamples(counts, { lanes: plan.lanes, worldSize, batchSize, dropLast });
        if (steps > 0) expect(divide()).toEqual(plan.division);
        else expect(divide).toThrow(RangeError);
      }),
    );
  });
});
