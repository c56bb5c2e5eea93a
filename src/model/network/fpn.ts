/**
 * Feature pyramid (Lin et al., CVPR 2017, arXiv 1612.03144, section 3): maps of one width for each stage, with what the deeper stages see.
 *
 *   res2 ... res5  ->  1x1 convolution  ->  + the sum of the next deeper, twice as large  ->  3x3 convolution  ->  P2 ... P5
 *
 * A batch norm without ReLU follows each convolution.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { type ResNet, type Stage, STAGES } from './architecture.js';
import type { Layers } from './network.js';
import { batchNorm, batchNormBuffers, convolution, type NetworkSpecs, type ParameterSpec } from './parameters.js';

export interface Fpn extends NetworkSpecs {
  /** The map of each stage, [N, h, w, C] -> [N, h, w, width]. */
  readonly forward: (layers: Layers, maps: Readonly<Record<Stage, Tensor4D>>) => Record<Stage, Tensor4D>;
}

/** Parameters are called `fpn.lateral.res2.conv1.weight`, `fpn.output.res2.bn1.weight`. */
export function fpn({ channels }: ResNet, width: number): Fpn {
  const parameters: ParameterSpec[] = [];
  const buffers: ParameterSpec[] = [];
  for (const [part, kernel] of [
    ['lateral', 1],
    ['output', 3],
  ] as const) {
    for (const stage of STAGES) {
      const inputs = part === 'lateral' ? channels[stage] : width;
      parameters.push(convolution(`fpn.${part}.${stage}.conv1`, kernel, inputs, width), ...batchNorm(`fpn.${part}.${stage}.bn1`, width));
      buffers.push(...batchNormBuffers(`fpn.${part}.${stage}.bn1`, width));
    }
  }
  const forward = (layers: Layers, maps: Readonly<Record<Stage, Tensor4D>>): Record<Stage, Tensor4D> => {
    const through = (part: 'lateral' | 'output', stage: Stage, x: Tensor4D): Tensor4D =>
      layers.norm(`fpn.${part}.${stage}.bn1`, layers.convolution(`fpn.${part}.${stage}.conv1`, x, 1), {});
    const sums: Partial<Record<Stage, Tensor4D>> = {};
    let deeper: Tensor4D | undefined;
    for (const stage of STAGES.toReversed()) {
      const lateral = through('lateral', stage, maps[stage]);
      deeper = deeper ? tf.add(lateral, twiceAsLarge(deeper, lateral.shape)) : lateral;
      sums[stage] = deeper;
    }
    return Object.fromEntries(STAGES.map((stage) => [stage, through('output', stage, sums[stage] as Tensor4D)])) as Record<Stage, Tensor4D>;
  };
  return { parameters, buffers, forward };
}

/** Nearest neighbours: each cell stands for 2x2, of which the last row or column is left out where the larger map is odd. */
export function twiceAsLarge(map: Tensor4D, [count, height, width, channels]: Tensor4D['shape']): Tensor4D {
  const [, h, w] = map.shape;
  const across = tf.reshape(tf.concat([map, map], 3), [count, h, 1, 2 * w * channels]);
  const both: Tensor4D = tf.reshape(tf.concat([across, across], 2), [count, 2 * h, 2 * w, channels]);
  return 2 * h === height && 2 * w === width ? both : tf.slice(both, [0, 0, 0, 0], [count, height, width, channels]);
}
