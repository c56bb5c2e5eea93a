/**
 * ShuffleBN (MoCo section 3.3): the key encoder sees the images of a batch in another order than the query encoder, so that a query and
 * its key are normalised by the statistics of other groups.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../../engine/engine.js';
import { Random, streamId } from '../../common/random.js';

/**
 * The permutation of a step as its inputs; it depends on nothing but the arguments.
 *
 * @param name of what is permuted: `global` gives `globalOrder` and `globalInverse`
 * @param count images
 */
export function stepPermutation(seed: number, name: string, step: number, count: number): NamedTensors {
  return permutation(name, new Random(seed, streamId(`shuffleBN.${name}`), step).permutation(count));
}

/** A permutation of 0..N-1 and the way back, int32 [N]: row i is image order[i], and image j is row inverse[j]. */
export function permutation(name: string, order: Int32Array): NamedTensors {
  return { [`${name}Order`]: tf.tensor1d(order, 'int32'), [`${name}Inverse`]: tf.tensor1d(inverse(order), 'int32') };
}

/** Encodes images [N, ...] in the order of that permutation, and gives what it makes of them, [N, ...], in the images' own. */
export function encodeShuffled<Images extends Tensor, Encoded extends Readonly<Record<string, Tensor>>>(
  images: Images,
  inputs: NamedTensors,
  name: string,
  encode: (shuffled: Images) => Encoded,
): Encoded {
  const [order, back] = [inputs[`${name}Order`], inputs[`${name}Inverse`]] as [Tensor1D | undefined, Tensor1D];
  if (order?.size !== images.shape[0])
    throw new RangeError(`The ${name} permutation has ${order?.size ?? 0} entries; expected one for each of ${images.shape[0]} images`);
  const shuffled = Object.entries<Tensor>(encode(tf.gather(images, order)));
  return Object.fromEntries(shuffled.map(([key, rows]) => [key, tf.gather(rows, back)])) as Encoded;
}

/** order[i] = j  ->  inverse[j] = i */
function inverse(order: Int32Array): Int32Array {
  const back = new Int32Array(order.length);
  order.forEach((image, row) => (back[image] = row));
  return back;
}
