/** The shuffle buffer of a lane: the order in which samples leave it, from the order in which they come. */
import type { PlanOptions } from './lanes.js';
import { Random, streamId } from '../../common/random.js';

const BUFFER_STREAM = streamId('shuffle');

/** Samples in a shuffle buffer before the first leaves it: small, so that the first batch comes soon. */
const FIRST_FILL = 8;

/** The random stream of a lane's shuffle buffer. */
export function bufferRandom(plan: PlanOptions, epoch: number, lane: number): Random {
  return new Random(plan.seed, epoch, lane, 0, BUFFER_STREAM);
}

/**
 * Each item leaves from a random place of the buffer. It starts small and takes two items for each that leaves until it
 * holds `size`; with size 0 or 1 items leave as they come.
 */
export class ShuffleBuffer<T> {
  readonly #items: T[] = [];
  readonly #size: number;
  readonly #random: Random;
  #target: number;

  constructor(size: number, random: Random) {
    this.#size = size;
    this.#random = random;
    this.#target = Math.min(size, FIRST_FILL);
  }

  /** Those that have come and not left, in no order. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** Puts an item in. @returns the item that leaves for it, alone in a list; an empty list while the buffer fills */
  push(item: T): T[] {
    this.#items.push(item);
    if (this.#items.length < this.#target) return [];
    if (this.#target < this.#size) this.#target++;
    return [this.#take()];
  }

  /** When no more come: those that are left, as they leave. */
  *drain(): Generator<T> {
    while (this.#items.length > 0) yield this.#take();
  }

  #take(): T {
    const place = this.#random.below(this.#items.length);
    const taken = this.#items[place] as T;
    const last = this.#items.pop() as T;
    if (place < this.#items.length) this.#items[place] = last;
    return taken;
  }
}

/** How many items have come when `left` have left a buffer of `size`, if there are so many. */
export function comeBefore(left: number, size: number): number {
  if (left === 0) return 0;
  const first = Math.max(1, Math.min(size, FIRST_FILL));
  return first + (left - 1) + Math.min(left - 1, Math.max(0, size - first));
}

/** Passes items through a shuffle buffer. */
export async function* shuffled<T>(items: AsyncIterable<T>, buffer: ShuffleBuffer<T>): AsyncGenerator<T> {
  for await (const item of items) yield* buffer.push(item);
  yield* buffer.drain();
}
