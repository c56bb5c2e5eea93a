/**
 * How well the plan shuffles: shards are permuted and samples pass through a buffer, which is less than a permutation of
 * all samples. Simulates the order of one epoch, without data, and compares it with that permutation in two numbers.
 */
import { divideSamples } from './division.js';
import { laneShards, laneShare, type PlanOptions } from './lanes.js';
import { bufferRandom, ShuffleBuffer } from './shuffle.js';
import type { Divide } from './state.js';

export interface ShuffleQualityOptions {
  readonly lanes: number;
  readonly shuffle: number;
  /** Of all ranks together. */
  readonly batchSize: number;
  readonly seed?: number;
  readonly epoch?: number;
  /** Default 'shards'. */
  readonly divide?: Divide;
}

/** A value of the plan's order, and of a permutation of all samples. */
export interface Compared {
  readonly plan: number;
  readonly full: number;
}

export interface ShuffleQuality {
  /** Mean number of shards that the samples of a batch come from. Few, when shards hold one class each, are few classes. */
  readonly shardsPerBatch: Compared;
  /**
   * Median distance, as a share of the epoch, at which two samples come that are next to each other in a shard: how far
   * the neighbours of the shards' order are torn apart.
   */
  readonly neighbourDistance: Compared;
}

/** Median of |a - b| for two places drawn at random: the d at which 2 d - d^2 is one half. */
const RANDOM_DISTANCE = 1 - Math.SQRT1_2;

/**
 * @param counts samples of each shard
 * @throws RangeError for divide 'samples' with fewer samples than lanes or than a batch
 */
export function shuffleQuality(counts: readonly number[], options: ShuffleQualityOptions): ShuffleQuality {
  const { lanes, shuffle, batchSize, seed = 0, epoch = 0, divide = 'shards' } = options;
  const division = divide === 'samples' ? divideSamples(counts, { lanes, worldSize: 1, batchSize, dropLast: true }) : undefined;
  const plan: PlanOptions = { shards: counts.length, lanes, seed, shuffle, ...(division && { division }) };
  const streams = Array.from({ length: lanes }, (_, lane) => laneOrder(plan, counts, epoch, lane));
  const order = takeTurns(streams);
  const samples = counts.reduce((sum, count) => sum + count, 0);
  return {
    shardsPerBatch: { plan: meanShards(order, batchSize), full: expectedShards(counts, samples, Math.min(batchSize, samples)) },
    neighbourDistance: { plan: medianDistance(order, counts), full: samples < 2 ? 0 : RANDOM_DISTANCE },
  };
}

interface Place {
  readonly shard: number;
  readonly index: number;
}

function laneOrder(plan: PlanOptions, counts: readonly number[], epoch: number, lane: number): Place[] {
  const buffer = new ShuffleBuffer<Place>(plan.shuffle, bufferRandom(plan, epoch, lane));
  const order: Place[] = [];
  for (const { shard, part, parts, from, to } of laneShards(plan, epoch, lane)) {
    const end = Math.min(to, counts[shard] ?? 0);
    for (let index = from; index < end; index++) {
      if (index % parts === part) order.push(...buffer.push({ shard, index }));
    }
  }
  order.push(...buffer.drain());
  return order.slice(0, laneShare(plan, lane).quota);
}

function takeTurns(streams: readonly Place[][]): Place[] {
  const order: Place[] = [];
  const rounds = Math.max(0, ...streams.map((stream) => stream.length));
  for (let k = 0; k < rounds; k++) {
    for (const stream of streams) {
      const place = stream[k];
      if (place) order.push(place);
    }
  }
  return order;
}

function meanShards(order: readonly Place[], batchSize: number): number {
  const size = Math.min(batchSize, order.length);
  const batches = size === 0 ? 0 : Math.floor(order.length / size);
  let sum = 0;
  for (let batch = 0; batch < batches; batch++) {
    sum += new Set(order.slice(batch * size, (batch + 1) * size).map(({ shard }) => shard)).size;
  }
  return batches === 0 ? 0 : sum / batches;
}

/** A shard is missing from a batch drawn without replacement with probability C(n - c, b) / C(n, b). */
function expectedShards(counts: readonly number[], samples: number, batchSize: number): number {
  let expected = 0;
  for (const count of counts) {
    let missing = 1;
    for (let i = 0; i < batchSize; i++) missing *= Math.max(0, samples - count - i) / (samples - i);
    expected += 1 - missing;
  }
  return expected;
}

function medianDistance(order: readonly Place[], counts: readonly number[]): number {
  const places = counts.map((count) => new Int32Array(count).fill(-1));
  order.forEach(({ shard, index }, place) => {
    const shardPlaces = places[shard];
    if (shardPlaces) shardPlaces[index] = place;
  });
  const distances: number[] = [];
  for (const shardPlaces of places) {
    for (let i = 1; i < shardPlaces.length; i++) {
      const [a = -1, b = -1] = [shardPlaces[i - 1], shardPlaces[i]];
      if (a >= 0 && b >= 0) distances.push(Math.abs(a - b));
    }
  }
  const middle = distances.toSorted((a, b) => a - b)[Math.floor(distances.length / 2)];
  return middle === undefined ? 0 : middle / order.length;
}
