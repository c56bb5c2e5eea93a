/**
 * What a lane reads: pure functions of (shards, seed, epoch).
 *
 * A lane is a virtual stream: a fixed number of them exist whatever the number of workers or of ranks, so the order of
 * samples does not depend on the machines. Shards are permuted every epoch and then divided in one of two ways.
 *
 * By shards: they are dealt to lanes in turn. Nothing need be known of them, and lanes may be of unequal length. When
 * there are fewer shards than lanes, several lanes share a shard, each taking every n-th of its samples.
 *
 * By samples: their samples are counted through and the whole is cut into a run a lane, all equally long, so that ranks
 * do the same number of steps without a word to each other:
 *
 *   shards     | 3         | 0   | 2             | 1        |
 *   lanes      |  0      |  1      |  2      |  3      |  .      the rest, fewer samples than lanes: dropped or made up
 */
import { Random, streamId } from '../../common/random.js';

/** A stretch of a shard, or every `parts`-th sample of it beginning with number `part`. */
export interface ShardPart {
  /** Ordinal of the shard in the pipeline's list. */
  readonly shard: number;
  readonly part: number;
  readonly parts: number;
  /** Ordinal of the first sample in the shard. */
  readonly from: number;
  /** Ordinal after the last; Infinity for the end of the shard, wherever it is. */
  readonly to: number;
}

/** Division by samples. */
export interface SampleDivision {
  /** Samples of each shard. */
  readonly counts: readonly number[];
  /** Whether lanes are as long as the shortest; else as the longest, and the others see their first sample again. */
  readonly dropLast: boolean;
}

export interface PlanOptions {
  /** Number of shards in the list. */
  readonly shards: number;
  /** Lanes of all ranks together. */
  readonly lanes: number;
  readonly seed: number;
  /** Samples a lane's shuffle buffer holds; 0 keeps shards and samples in the order they come. */
  readonly shuffle: number;
  /** Ordinals of shards that have their place in the order and are not read. */
  readonly skipped?: ReadonlySet<number>;
  /** Absent when lanes take whole shards. */
  readonly division?: SampleDivision;
}

/** How many samples a lane hands out in an epoch. */
export interface LaneShare {
  /** Samples of the lane's run; Infinity when only reading tells. */
  readonly own: number;
  /** Good samples after which the lane is done; a run that has fewer is gone through again. */
  readonly quota: number;
}

const SHARD_STREAM = streamId('shards');

/** What lane `lane` reads in epoch `epoch`, in order. */
export function laneShards(plan: PlanOptions, epoch: number, lane: number): ShardPart[] {
  return dealtShards(plan, epoch, lane).filter(({ shard }) => !plan.skipped?.has(shard));
}

function dealtShards(plan: PlanOptions, epoch: number, lane: number): ShardPart[] {
  const order =
    plan.shuffle > 0
      ? new Random(plan.seed, epoch, 0, 0, SHARD_STREAM).permutation(plan.shards)
      : Int32Array.from({ length: plan.shards }, (_, i) => i);
  if (plan.division) return stretches(order, plan.division.counts, laneRun(plan.division, plan.lanes, lane));
  const whole = { from: 0, to: Infinity };
  if (plan.shards >= plan.lanes) {
    return [...order].filter((_, place) => place % plan.lanes === lane).map((shard) => Object.assign({ shard, part: 0, parts: 1 }, whole));
  }
  const place = lane % plan.shards;
  // Lanes place, place + shards, place + 2 * shards ... share the shard at `place`.
  const parts = Math.ceil((plan.lanes - place) / plan.shards);
  return [{ shard: order[place] as number, part: Math.floor(lane / plan.shards), parts, ...whole }];
}

export function laneShare({ division, lanes }: PlanOptions, lane: number): LaneShare {
  if (!division) return { own: Infinity, quota: Infinity };
  const { first, end, quota } = laneRun(division, lanes, lane);
  return { own: end - first, quota };
}

/** Samples of all shards together. */
export function sampleCount({ counts }: SampleDivision): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Batches that each of `worldSize` ranks makes an epoch; undefined when only reading tells. */
export function epochSteps({ division, lanes }: PlanOptions, worldSize: number, batchSize: number): number | undefined {
  if (!division) return undefined;
  const batches = ((lanes / worldSize) * laneRun(division, lanes, 0).quota) / batchSize;
  return division.dropLast ? Math.floor(batches) : Math.ceil(batches);
}

/** The lane's place in the samples of all shards counted through. */
function laneRun(division: SampleDivision, lanes: number, lane: number): { first: number; end: number; quota: number } {
  const samples = sampleCount(division);
  const least = Math.floor(samples / lanes);
  if (division.dropLast) return { first: lane * least, end: (lane + 1) * least, quota: least };
  const longer = samples % lanes;
  const first = lane * least + Math.min(lane, longer);
  return { first, end: first + least + (lane < longer ? 1 : 0), quota: Math.ceil(samples / lanes) };
}

function stretches(order: Int32Array, counts: readonly number[], { first, end }: { first: number; end: number }): ShardPart[] {
  const parts: ShardPart[] = [];
  let before = 0;
  for (const shard of order) {
    const count = counts[shard] ?? 0;
    const from = Math.max(first - before, 0);
    const to = Math.min(end - before, count);
    if (from < to) parts.push({ shard, part: 0, parts: 1, from, to });
    before += count;
  }
  return parts;
}
