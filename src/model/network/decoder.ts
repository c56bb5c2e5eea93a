/** From the map of a backbone back towards the picture: nearest upsampling by two, a 3x3 convolution, a batch norm and ReLU, several times. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Stem } from './architecture.js';
import type { Layers } from './network.js';
import { batchNorm, batchNormBuffers, convolution, type NetworkSpecs, type ParameterSpec } from './parameters.js';

export interface Decoder extends NetworkSpecs {
  /** [N, h, w, C] -> [N, 2^k h, 2^k w, the last width], of k doublings. */
  readonly forward: (layers: Layers, map: Tensor4D) => Tensor4D;
}

/**
 * @param name what its parameters' names begin with: `decoder.conv1.weight`
 * @param widths channels of the map, and of each doubling; with none of these the map stays as it is
 */
export function decoder(name: string, widths: readonly number[]): Decoder {
  const doublings = widths.slice(1).map((outputs, i) => ({ place: i + 1, inputs: widths[i] as number, outputs }));
  const parameters: ParameterSpec[] = [];
  const buffers: ParameterSpec[] = [];
  for (const { place, inputs, outputs } of doublings) {
    parameters.push(convolution(`${name}.conv${place}`, 3, inputs, outputs), ...batchNorm(`${name}.bn${place}`, outputs));
    buffers.push(...batchNormBuffers(`${name}.bn${place}`, outputs));
  }
  const forward = (layers: Layers, map: Tensor4D): Tensor4D =>
    doublings.reduce(
      (x, { place }) => layers.norm(`${name}.bn${place}`, layers.convolution(`${name}.conv${place}`, doubled(x), 1), { relu: true }),
      map,
    );
  return { parameters, buffers, forward };
}

/** Nearest upsampling by two, of joins and reshapes: their gradients are kernels of every engine. */
function doubled(x: Tensor4D): Tensor4D {
  const [samples, height, width, channels] = x.shape;
  // Each pixel is followed by its copy, and then each row.
  const wide = tf.reshape(tf.concat([x, x], 3), [samples, height, 2 * width * channels]);
  return tf.reshape(tf.concat([wide, wide], 2), [samples, 2 * height, 2 * width, channels]);
}

/** How many times the map of res5 must be doubled to have the picture's size. */
export const DOUBLINGS: Readonly<Record<Stem, number>> = { imagenet: 5, small: 3 };
