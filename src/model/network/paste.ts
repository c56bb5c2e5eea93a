/** Pictures pasted onto each other on the device: a worker has one image at a time, and so every pixel is moved once. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { Random, streamId } from '../../common/random.js';
import type { Ranks } from '../../engine/ranks.js';
import type { StepAt } from '../method.js';

/**
 * The foreground within its box and the background around it, to the bit.
 *
 * @param foregrounds [N, H, W, 3]
 * @param backgrounds of the same shape
 * @param boxes [N, 4]: left, top, right and bottom, whole pixels; the last two are the first pixels outside
 */
export function pasted(foregrounds: Tensor4D, backgrounds: Tensor4D, boxes: Tensor2D): Tensor4D {
  const [, height, width] = foregrounds.shape;
  return tf.tidy(() => {
    const [left, top, right, bottom] = tf.split(boxes, 4, 1) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
    const between = (low: Tensor2D, high: Tensor2D, length: number): Tensor2D => {
      const pixels = tf.reshape(tf.range(0, length), [1, length]);
      return tf.cast(tf.logicalAnd(tf.greaterEqual(pixels, low), tf.less(pixels, high)), 'float32');
    };
    const rows = tf.reshape(between(top, bottom, height), [-1, height, 1, 1]);
    const columns = tf.reshape(between(left, right, width), [-1, 1, width, 1]);
    const inside = tf.mul(rows, columns); // 0 or 1: products and the sum are exact
    return tf.add(tf.mul(foregrounds, inside), tf.mul(backgrounds, tf.sub(1, inside)));
  });
}

/**
 * Whose image each of this rank's foregrounds is pasted onto: another of the step's, each used once. Its place in what the ranks have
 * together, [n] int32; it depends on nothing but the arguments.
 *
 * @param name of what is drawn
 */
export function stepBackgrounds(
  seed: number,
  name: string,
  { step, batch, rows }: StepAt,
  { rank, size }: Pick<Ranks, 'rank' | 'size'>,
): Tensor1D {
  // In a circle, so that no image is pasted onto itself.
  const circle = new Random(seed, streamId(`background.${name}`), step).permutation(batch);
  const next = new Int32Array(batch);
  circle.forEach((image, i) => (next[image] = circle[(i + 1) % batch] as number));
  const places = new Int32Array(batch);
  const numbers = rows ?? places.map((_, i) => i);
  numbers.forEach((image, place) => (places[image] = place));
  const share = batch / size;
  const own = numbers.slice(rank * share, (rank + 1) * share);
  return tf.tensor1d(
    own.map((image) => places[next[image] as number] as number),
    'int32',
  );
}
