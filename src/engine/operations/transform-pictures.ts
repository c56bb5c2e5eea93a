/**
 * Pillow's `Image.transform(AFFINE, BILINEAR)` as TensorFlow.js operations. Where each pixel comes from is worked out on the host, in float64:
 * float32 would put some on the other side of the picture's edge.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { affineOf, FILL, type GeometricStep } from '../../common/affine.js';

/** Fractional bits of a position between pixels' middles, and of a neighbour's weight, as the workers' kernels have them. */
const POSITION_BITS = 18;
const WEIGHT_BITS = 14;

/**
 * @param images levels 0..255, [N, H, W, 3]
 * @param steps one a picture
 */
export function transformPictures(images: Tensor4D, steps: readonly GeometricStep[]): Tensor4D {
  const [samples, height, width] = images.shape;
  const pixels = samples * height * width;
  const places = new Int32Array(4 * pixels);
  const weights = new Float32Array(4 * pixels);
  for (const [n, step] of steps.entries()) {
    const [a, b, c, d, e, f] = affineOf(step, width, height);
    for (let y = 0; y < height; y++) {
      const [acrossRow, downRow] = [a * 0.5 + b * (y + 0.5) + c, d * 0.5 + e * (y + 0.5) + f];
      for (let x = 0; x < width; x++) {
        const [across, down] = [a * x + acrossRow, d * x + downRow];
        const inside = across >= 0 && across < width && down >= 0 && down < height;
        const [column, right, dx] = placeAt(across, width);
        const [line, below, dy] = placeAt(down, height);
        const both = (dx * dy) >> WEIGHT_BITS;
        const at = (n * height + y) * width + x;
        const place = (row: number, across: number): number => (n * height + row) * width + across;
        // The row after all pixels is the fill.
        places.set(
          inside ? [place(line, column), place(line, right), place(below, column), place(below, right)] : [pixels, pixels, pixels, pixels],
          4 * at,
        );
        weights.set([(1 << WEIGHT_BITS) - dx - dy + both, dx - both, dy - both, both], 4 * at);
      }
    }
  }
  const colours = tf.concat([tf.reshape(images, [pixels, 3]), tf.tensor2d([[...FILL]])]);
  const neighbours = tf.reshape(tf.gather(colours, tf.tensor1d(places, 'int32')), [pixels, 4, 3]);
  const sums = tf.sum(tf.mul(neighbours, tf.tensor3d(weights, [pixels, 4, 1])), 1);
  return tf.reshape(tf.floor(tf.div(sums, 1 << WEIGHT_BITS)), images.shape);
}

/** @returns the pixels on both sides of a position on an axis of so many, and the weight of the second */
function placeAt(position: number, limit: number): readonly [number, number, number] {
  const place = Math.trunc(Math.min(Math.max((position - 0.5) * 2 ** POSITION_BITS, 0), (limit - 1) * 2 ** POSITION_BITS));
  const pixel = place >> POSITION_BITS;
  const weight = (place & ((1 << POSITION_BITS) - 1)) >> (POSITION_BITS - WEIGHT_BITS);
  return [pixel, Math.min(pixel + 1, limit - 1), weight];
}
