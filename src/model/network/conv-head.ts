/** A head of 3x3 convolutions, each with batch norm and ReLU, before linear layers: what detectors have on RoIs. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { mlp } from './heads.js';
import type { Layers } from './network.js';
import { batchNorm, batchNormBuffers, convolution, type NetworkSpecs } from './parameters.js';

export interface ConvHead extends NetworkSpecs {
  /** [N, side, side, channels] -> [N, out], not normalised. */
  readonly forward: (layers: Layers, x: Tensor4D) => Tensor2D;
}

/**
 * @param name what its parameters' names begin with: `head.conv1.weight`, `head.bn1.weight`, `head.fc1.weight`
 * @param options.widths of the linear layers: hidden ones, outputs
 */
export function convHead(
  name: string,
  {
    convolutions,
    channels,
    side,
    widths,
  }: Readonly<Record<'convolutions' | 'channels' | 'side', number>> & { readonly widths: readonly number[] },
): ConvHead {
  const numbers = Array.from({ length: convolutions }, (_, i) => i + 1);
  const linear = mlp(name, [side * side * channels, ...widths]);
  return {
    parameters: [
      ...numbers.flatMap((i) => [convolution(`${name}.conv${i}`, 3, channels, channels), ...batchNorm(`${name}.bn${i}`, channels)]),
      ...linear.parameters,
    ],
    buffers: numbers.flatMap((i) => batchNormBuffers(`${name}.bn${i}`, channels)),
    forward(layers, x) {
      const last = numbers.reduce(
        (map, i) => layers.norm(`${name}.bn${i}`, layers.convolution(`${name}.conv${i}`, map, 1), { relu: true }),
        x,
      );
      return linear.forward(layers, tf.reshape(last, [x.shape[0], side * side * channels]));
    },
  };
}
