/**
 * Weighted k-nearest-neighbour classification of frozen features (Wu et al. 2018, InstDis, section 3.4; MoCo's CIFAR notebook):
 * each of the k most similar bank images votes for its class with exp(cosine / temperature).
 */
import { Guesses } from './classification.js';
import type { Features } from './features.js';

export interface KnnOptions {
  /** Neighbours that vote. By default 200, or a tenth of a bank smaller than 2000. */
  readonly k?: number;
  /** Of the votes' weights; InstDis uses 0.07. */
  readonly temperature?: number;
}

/** InstDis, section 3.4. */
const K = 200;
export const TEMPERATURE = 0.07;

/** Neighbours that vote when the caller does not say: 200 of ImageNet's 1.28 million, a tenth of a small bank. */
export function defaultNeighbours(bankSize: number): number {
  return Math.min(K, Math.max(1, Math.floor(bankSize / 10)));
}

/** Indices of the k largest values, in no order, ties in favour of the first; a min-heap of the k best so far. */
function largest(values: Float32Array, k: number): Int32Array {
  const heap = new Int32Array(k);
  let size = 0;
  const value = (slot: number) => values[heap[slot] ?? 0] ?? 0;
  const swap = (a: number, b: number) => {
    const held = heap[a] ?? 0;
    heap[a] = heap[b] ?? 0;
    heap[b] = held;
  };
  const sink = () => {
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < size && value(child) < value(least)) least = child;
      if (least === at) return;
      swap(at, least);
      at = least;
    }
  };
  for (let index = 0; index < values.length; index++) {
    if (size < k) {
      heap[size++] = index;
      for (let at = size - 1; at > 0;) {
        const parent = (at - 1) >> 1;
        if (value(at) >= value(parent)) break;
        swap(at, parent);
        at = parent;
      }
    } else if ((values[index] ?? 0) > value(0)) {
      heap[0] = index;
      sink();
    }
  }
  return heap;
}

/**
 * The bank images that are most similar to one query, most similar first, ties in favour of the first.
 *
 * @param similarities cosine of the query with every bank image
 */
export function nearest(similarities: Float32Array, k: number): number[] {
  const at = (index: number) => similarities[index] ?? 0;
  return Array.from(largest(similarities, Math.min(k, similarities.length))).toSorted((a, b) => at(b) - at(a) || a - b);
}

/**
 * The classes that the neighbours of one query vote for, most votes first, ties in favour of the lower number.
 *
 * @param similarities cosine of the query with every bank image, [labels.length]
 */
export function vote(similarities: Float32Array, labels: readonly number[], k: number, temperature: number): number[] {
  const votes = new Map<number, number>();
  const neighbours = largest(similarities, Math.min(k, labels.length));
  // Relative to the best of them, whose vote is 1: at small temperatures exp does not overflow, and not every vote comes to 0.
  const best = neighbours.reduce((most, index) => Math.max(most, similarities[index] ?? 0), -Infinity);
  for (const index of neighbours) {
    const label = labels[index] ?? 0;
    const weight = Math.exp(((similarities[index] ?? 0) - best) / temperature);
    votes.set(label, (votes.get(label) ?? 0) + weight);
  }
  return [...votes].toSorted(([a, forA], [b, forB]) => forB - forA || a - b).map(([label]) => label);
}

/** Cosines of a block of queries with the whole bank: [rows, dimensions] -> [rows, bank]. */
export type Similarities = (queries: Float32Array) => Promise<Float32Array>;

/** Queries a block: bounds the similarities in memory to 64 rows of the bank. */
const BLOCK = 64;

/**
 * The classes that the bank votes for, for each of `queries`.
 *
 * @param queries L2-normalised, [rows, dimensions]
 * @param labels of the bank
 * @param similarities the matrix product with the bank, on whatever is fast here
 */
export async function knnGuesses(
  { features, dimensions }: Features,
  labels: readonly number[],
  similarities: Similarities,
  options: KnnOptions = {},
): Promise<Guesses> {
  const { k = defaultNeighbours(labels.length), temperature = TEMPERATURE } = options;
  const guesses = new Guesses(features.length / dimensions);
  for (let first = 0; first * dimensions < features.length; first += BLOCK) {
    const block = features.subarray(first * dimensions, (first + BLOCK) * dimensions);
    const cosines = await similarities(block);
    for (let row = 0; row * dimensions < block.length; row++)
      guesses.set(first + row, vote(cosines.subarray(row * labels.length, (row + 1) * labels.length), labels, k, temperature));
  }
  return guesses;
}
