import { describe, expect, test } from '@jest/globals';
import { epochBeginning, joinStates, nextEpoch, rankLanes, resumedState, type StateOptions } from '#dist/pipeline/plan/state.js';
import type { PipelineState } from '#dist/pipeline/index.js';
import fc from 'fast-check';

const sizes = fc
  .record({
    worldSize: fc.integer({ min: 1, max: 5 }),
    lanesPerRank: fc.integer({ min: 1, max: 5 }),
    batchSize: fc.integer({ min: 1, max: 12 }),
    steps: fc.nat(9),
  })
  .map(({ worldSize, lanesPerRank, batchSize, steps }) => ({ worldSize, lanes: worldSize * lanesPerRank, batchSize, steps }));

const optionsOf = ({ worldSize, lanes, batchSize }: Omit<StateOptions, 'rank' | 'divide'>, rank = 0): StateOptions => ({
  worldSize,
  lanes,
  batchSize,
  rank,
  divide: 'samples',
});

/** The state of a rank after `steps` batches; every third sample taken was bad. */
function rankState(options: StateOptions, steps: number): PipelineState {
  const state = epochBeginning(2, 100, options);
  const own = rankLanes(options);
  const lanes = state.lanes.map((lane) => ({ ...lane }));
  for (let row = 0; row < steps * options.batchSize; row++) {
    const lane = lanes[own[row % own.length] ?? 0];
    if (!lane) continue;
    lane.good++;
    lane.taken = lane.good + Math.floor(lane.good / 2);
  }
  return { ...state, step: state.step + steps, lanes };
}

const allStates = (one: Omit<StateOptions, 'rank' | 'divide'>, steps: number): PipelineState[] =>
  Array.from({ length: one.worldSize }, (_, rank) => rankState(optionsOf(one, rank), steps));

describe('joinStates', () => {
  test('gives, in any order of the states, one that every rank goes on from', () => {
    fc.assert(
      fc.property(sizes, (one) => {
        const states = allStates(one, one.steps);
        const joined = joinStates(states);
        expect(joinStates(states.toReversed())).toEqual(joined);
        expect(joined.lanes.reduce((sum, { good }) => sum + good, 0)).toBe(one.steps * one.batchSize * one.worldSize);
        for (let rank = 0; rank < one.worldSize; rank++) {
          expect(resumedState(joined, optionsOf(one, rank))).toEqual(joined);
          // A rank's own state is enough for itself.
          const own = states[rank];
          if (own) expect(resumedState(own, optionsOf(one, rank))).toEqual(own);
        }
      }),
    );
  });

  test('refuses states that are too few, of different steps, or twice of one rank', () => {
    const one = { worldSize: 3, lanes: 6, batchSize: 4 };
    const [a, b, c] = allStates(one, 5) as [PipelineState, PipelineState, PipelineState];
    const [later] = allStates(one, 6) as [PipelineState];
    expect(() => joinStates([])).toThrow(/no state was given/);
    expect(() => joinStates([a, b])).toThrow(/got 2 states of a pipeline with worldSize 3/);
    expect(() => joinStates([later, b, c])).toThrow(/differ in step: 106 and 105/);
    expect(() => joinStates([a, b, b])).toThrow(/no state has the samples of rank 2/);
  });
});

describe('resumedState', () => {
  test('at an epoch beginning takes up any sizes', () => {
    fc.assert(
      fc.property(sizes, sizes, (old, other) => {
        const state = nextEpoch(joinStates(allStates(old, old.steps)));
        const resumed = resumedState(state, optionsOf(other));
        expect(resumed).toEqual({ ...epochBeginning(3, 100 + old.steps, optionsOf(other)) });
      }),
    );
  });

  test('within an epoch takes up another number of ranks exactly when they would stand where the old ones stood', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 12 }), (old, worldSize, batchSize) => {
        fc.pre(old.steps > 0 && old.lanes % worldSize === 0);
        const state = joinStates(allStates(old, old.steps));
        const other = { worldSize, lanes: old.lanes, batchSize };
        const stands = joinStates(allStates(other, old.steps)).lanes.every((lane, i) => lane.good === state.lanes[i]?.good);
        const everyRank = () => Array.from({ length: worldSize }, (_, rank) => resumedState(state, optionsOf(other, rank)));
        if (stands) expect(everyRank()).toHaveLength(worldSize);
        else expect(everyRank).toThrow(RangeError);
        const even = (old.batchSize * old.worldSize) % old.lanes === 0 && old.batchSize * old.worldSize === batchSize * worldSize;
        if (even) expect(stands).toBe(true);
      }),
    );
  });

  test('says what to do with a state that does not fit', () => {
    const one = { worldSize: 2, lanes: 4, batchSize: 6 };
    const states = allStates(one, 3);
    const joined = joinStates(states);
    expect(() => resumedState(joined, optionsOf({ ...one, batchSize: 5 }))).toThrow(
      /within epoch 2, made with batchSize 6 on worldSize 2, .* batchSize 5 on worldSize 2 .* finish the epoch with the old sizes, or, if 12 is a multiple of the 4 lanes, resume with batchSize x worldSize = 12/,
    );
    expect(() => resumedState(states[0] ?? joined, optionsOf({ worldSize: 1, lanes: 4, batchSize: 12 }))).toThrow(/joinStates\(\)/);
    expect(() => resumedState(joined, optionsOf({ ...one, lanes: 8 }))).toThrow(/4 lanes and the pipeline 8; resume with lanes: 4/);
    expect(() => resumedState(joined, { ...optionsOf({ worldSize: 1, lanes: 4, batchSize: 12 }), divide: 'shards' })).toThrow(
      /divided by samples, .* finish the epoch with divide: 'samples'/,
    );
  });

  test('takes up a state of a version that knew no ranks, and refuses another batch size', () => {
    const options: StateOptions = { worldSize: 1, rank: 0, lanes: 2, batchSize: 3, divide: 'shards' };
    const old = {
      epoch: 0,
      step: 2,
      epochStart: 0,
      lanes: [
        { taken: 4, good: 3 },
        { taken: 3, good: 3 },
      ],
    };
    expect(resumedState(old, options)).toEqual({ ...old, worldSize: 1, batchSize: 3, divide: 'shards' });
    expect(() => resumedState(old, { ...options, batchSize: 2 })).toThrow(/finish the epoch with the old sizes/);
  });
});
