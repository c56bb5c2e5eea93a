/**
 * Which shards a lane reads, and in which order it hands its samples out. Pure functions of (shards, seed, epoch).
 *
 * A lane is a virtual stream: a fixed number of them exist whatever the number of workers, so the order of samples
 * does not depend on the machine. Shards are permuted every epoch and dealt to lanes in turn. When there are fewer
 * shards than lanes, several lanes share a shard, each taking every n-th of its samples.
 */
import { Random, streamId } from './random.js';

/** A shard, or every `parts`-th sample of it beginning with number `part`. */
export interface ShardPart {
  /** Ordinal of the shard in the pipeline's list. */
  readonly shard: number;
  readonly part: number;
  readonly parts: number;
}

export interface PlanOptions {
  /** Number of shards in the list. */
  readonly shards: number;
  readonly lanes: number;
  readonly seed: number;
  /** Samples a lane's shuffle buffer holds; 0 keeps shards and samples in the order they come. */
  readonly shuffle: number;
}

const SHARD_STREAM = streamId('shards');
const BUFFER_STREAM = streamId('shuffle');

/** What lane `lane` reads in epoch `epoch`, in order. */
export function laneShards(plan: PlanOptions, epoch: number, lane: number): ShardPart[] {
  const order =
    plan.shuffle > 0
      ? new Random(plan.seed, epoch, 0, 0, SHARD_STREAM).permutation(plan.shards)
      : Int32Array.from({ length: plan.shards }, (_, i) => i);
  if (plan.shards >= plan.lanes) {
    return [...order].filter((_, place) => place % plan.lanes === lane).map((shard) => ({ shard, part: 0, parts: 1 }));
  }
  const place = lane % plan.shards;
  // Lanes place, place + shards, place + 2 * shards ... share the shard at `place`.
  const parts = Math.ceil((plan.lanes - place) / plan.shards);
  return [{ shard: order[place] as number, part: Math.floor(lane / plan.shards), parts }];
}

/** Samples in a shuffle buffer before the first leaves it: small, so that the first batch comes soon. */
const FIRST_FILL = 8;

/**
 * Passes items through a shuffle buffer: each leaves from a random place of the buffer. The buffer starts small and
 * takes two items for each that leaves until it holds `size`.
 */
export async function* shuffled<T>(items: AsyncIterable<T>, size: number, random: Random): AsyncGenerator<T> {
  const buffer: T[] = [];
  let target = Math.min(size, FIRST_FILL);
  for await (const item of items) {
    buffer.push(item);
    if (buffer.length < target) continue;
    if (target < size) target++;
    yield takeRandom(buffer, random);
  }
  while (buffer.length > 0) yield takeRandom(buffer, random);
}

/** The random stream of a lane's shuffle buffer. */
export function bufferRandom(plan: PlanOptions, epoch: number, lane: number): Random {
  return new Random(plan.seed, epoch, lane, 0, BUFFER_STREAM);
}

function takeRandom<T>(buffer: T[], random: Random): T {
  const place = random.below(buffer.length);
  const taken = buffer[place] as T;
  const last = buffer.pop() as T;
  if (place < buffer.length) buffer[place] = last;
  return taken;
}
