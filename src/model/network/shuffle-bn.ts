/**
 * ShuffleBN (MoCo section 3.3): the key encoder sees the images of a batch in another order than the query encoder, so that a query and
 * its key are normalised by the statistics of other groups.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../../engine/engine.js';
import type { Ranks } from '../../engine/ranks.js';
import { Random, streamId } from '../../common/random.js';
import type { StepAt } from '../method.js';

/**
 * The permutation of a step as its inputs; it depends on nothing but the arguments.
 *
 * @param name of what is permuted: `global` gives `globalOrder`, `globalInverse` and perhaps `globalOwn`
 */
export function stepPermutation(
  seed: number,
  name: string,
  at: Omit<StepAt, 'progress'>,
  ranks: Pick<Ranks, 'rank' | 'size'>,
): NamedTensors {
  return permutation(name, new Random(seed, streamId(`shuffleBN.${name}`), at.step).permutation(at.batch), { ...ranks, rows: at.rows });
}

/**
 * A permutation of the N images of a step, and the way back, int32:
 *
 *   Order    the images that this rank encodes, by their places in what the ranks have together
 *   Inverse  of each image, by its number in the batch, the place among all that are encoded
 *   Own      numbers of this rank's images; absent where they are 0..N-1
 *
 * @param order of numbers of images
 */
export function permutation(
  name: string,
  order: Int32Array,
  { rank, size, rows }: Pick<Ranks, 'rank' | 'size'> & Pick<StepAt, 'rows'> = { rank: 0, size: 1 },
): NamedTensors {
  const share = order.length / size;
  const ofRank = (all: Int32Array): Int32Array => all.subarray(rank * share, (rank + 1) * share);
  const places = rows && inverse(rows);
  const encoded = ofRank(order).map((number) => places?.[number] ?? number);
  const ints = (values: Int32Array): Tensor1D => tf.tensor1d(values, 'int32');
  return {
    [`${name}Order`]: ints(encoded),
    [`${name}Inverse`]: ints(inverse(order)),
    ...((size > 1 || rows) && { [`${name}Own`]: ints(ofRank(rows ?? order.map((_, i) => i))) }),
  };
}

/** What is made of images, [n, ...] each. */
type Rows = Readonly<Record<string, Tensor>>;

/** What was made of this rank's images, and of those of all ranks in the order of their numbers: the same tensors where that is the same. */
export type Encoded<T extends Rows> = {
  readonly own: T;
  readonly all: T;
};

/** Encodes images [n, ...] of all ranks in the order of that permutation, each rank its share. */
export function encodeShuffled<Images extends Tensor, T extends Rows>(
  images: Images,
  inputs: NamedTensors,
  name: string,
  ranks: Ranks,
  encode: (shuffled: Images) => T,
): Encoded<T> {
  const [order, back, numbers] = ['Order', 'Inverse', 'Own'].map((part) => inputs[`${name}${part}`] as Tensor1D | undefined);
  if (!order || !back || order.size !== images.shape[0])
    throw new RangeError(`The ${name} permutation has ${order?.size ?? 0} entries; expected one for each of ${images.shape[0]} images`);
  const picked = (rows: Rows, indices: Tensor1D): T =>
    Object.fromEntries(Object.entries<Tensor>(rows).map(([key, tensor]) => [key, tf.gather(tensor, indices)])) as T;
  const all = picked(gathered(encode(ranks.exchange(images, order) as Images), ranks), back);
  return { own: numbers ? picked(all, numbers) : all, all };
}

/** Of all ranks, one after the other; sent at once. */
function gathered(rows: Rows, ranks: Ranks): Rows {
  if (ranks.size === 1) return rows;
  const flat = Object.values(rows).map((tensor) => tf.reshape(tensor, [tensor.shape[0] ?? 0, -1]) as Tensor2D);
  const widths = flat.map(({ shape: [, width] }) => width);
  const parts = tf.split(ranks.gather(tf.concat(flat, 1)), widths, 1);
  return Object.fromEntries(
    Object.entries(rows).map(([key, { shape }], i) => [key, tf.reshape(parts[i] as Tensor, [-1, ...shape.slice(1)])]),
  );
}

/** order[i] = j  ->  inverse[j] = i */
function inverse(order: Int32Array): Int32Array {
  const back = new Int32Array(order.length);
  order.forEach((image, row) => (back[image] = row));
  return back;
}
