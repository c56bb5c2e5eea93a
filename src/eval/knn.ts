/**
 * Weighted k-nearest-neighbour classification of frozen features (Wu et al. 2018, InstDis, section 3.4; MoCo's CIFAR notebook):
 * each of the k most similar bank images votes for its class with exp(cosine / temperature).
 */

/** L2-normalised features of labelled images, [labels.length, dimensions], row-major. */
export interface LabelledFeatures {
  readonly features: Float32Array;
  readonly dimensions: number;
  readonly labels: readonly number[];
}

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

/** Scales each row of [rows, dimensions] to unit length, in place; a row of zeros stays. */
export function normalizeRows(values: Float32Array, dimensions: number): Float32Array {
  for (let start = 0; start < values.length; start += dimensions) {
    const row = values.subarray(start, start + dimensions);
    let squares = 0;
    for (const value of row) squares += value * value;
    const norm = Math.sqrt(squares);
    if (norm > 0) for (let i = 0; i < dimensions; i++) row[i] = (row[i] ?? 0) / norm;
  }
  return values;
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
 * The class that the neighbours of one query vote for.
 *
 * @param similarities cosine of the query with every bank image, [labels.length]
 */
export function vote(similarities: Float32Array, labels: readonly number[], k: number, temperature: number): number {
  const votes = new Map<number, number>();
  for (const index of largest(similarities, Math.min(k, labels.length))) {
    const label = labels[index] ?? 0;
    // Relative to cosine 1, so that exp never overflows at small temperatures.
    const weight = Math.exp(((similarities[index] ?? 0) - 1) / temperature);
    votes.set(label, (votes.get(label) ?? 0) + weight);
  }
  let best = -1;
  let bestVotes = -Infinity;
  for (const [label, weight] of [...votes].toSorted(([a], [b]) => a - b))
    if (weight > bestVotes) {
      best = label;
      bestVotes = weight;
    }
  return best;
}

/** Cosines of a block of queries with the whole bank: [rows, dimensions] x [bank, dimensions] -> [rows, bank]. */
export type Similarities = (queries: Float32Array, bank: Float32Array, dimensions: number) => Promise<Float32Array>;

/** Queries a block: bounds the similarities in memory to 64 rows of the bank. */
const BLOCK = 64;

/**
 * Top-1 accuracy of `queries` against `bank`, [0, 1].
 *
 * @param similarities the matrix product, on whatever is fast here
 */
export async function knnTop1(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  similarities: Similarities,
  options: KnnOptions = {},
): Promise<number> {
  const bankSize = bank.labels.length;
  if (bankSize === 0 || queries.labels.length === 0)
    throw new Error(`kNN needs labelled images: the bank has ${bankSize}, the queries ${queries.labels.length}`);
  const { k = defaultNeighbours(bankSize), temperature = TEMPERATURE } = options;
  const { dimensions } = queries;
  let right = 0;
  for (let first = 0; first < queries.labels.length; first += BLOCK) {
    const block = queries.features.subarray(first * dimensions, (first + BLOCK) * dimensions);
    const cosines = await similarities(block, bank.features, dimensions);
    for (let row = 0; row * dimensions < block.length; row++) {
      const guess = vote(cosines.subarray(row * bankSize, (row + 1) * bankSize), bank.labels, k, temperature);
      if (guess === queries.labels[first + row]) right++;
    }
  }
  return right / queries.labels.length;
}
