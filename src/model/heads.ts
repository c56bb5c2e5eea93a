/**
 * Projection heads: pooled features to unit-norm embeddings. MoCo v2's MLP has no batch norm; MoCo v1's is one layer.
 * A local head sees the nine patches of an image side by side, in the order they come (DetCo section 3.3).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { linear } from './parameters.js';
import type { ParameterSpec } from './parameters.js';
import type { MethodOptions } from './options.js';
import type { Stage } from './resnet.js';

export type Kind = 'global' | 'local';

/** A patch set is a 3x3 jigsaw. */
export const PATCHES = 9;

/** The parameters of one head: `head.global.res2.fc1.weight`, ... */
export function headParameters(kind: Kind, stage: Stage, channels: number, options: MethodOptions): ParameterSpec[] {
  const name = `head.${kind}.${stage}`;
  const inputs = kind === 'local' ? PATCHES * channels : channels;
  if (options.head === 'linear') return linear(`${name}.fc1`, inputs, options.dim);
  const hidden = options.hidden ?? channels;
  return [...linear(`${name}.fc1`, inputs, hidden), ...linear(`${name}.fc2`, hidden, options.dim)];
}

/**
 * @param features [N, C] for a global head; [9N, C], image-major, for a local one
 * @returns [N, dim], unit norm
 */
export function project(
  kind: Kind,
  stage: Stage,
  features: Tensor2D,
  head: MethodOptions['head'],
  weight: (name: string) => Tensor,
): Tensor2D {
  const layer = (x: Tensor2D, name: string): Tensor2D => {
    const module = `head.${kind}.${stage}.${name}`;
    return tf.add(tf.matMul(x, weight(`${module}.weight`) as Tensor2D), weight(`${module}.bias`));
  };
  const x = kind === 'local' ? tf.reshape(features, [-1, PATCHES * features.shape[1]] as [number, number]) : features;
  const first = layer(x as Tensor2D, 'fc1');
  return l2Normalise(head === 'linear' ? first : layer(tf.relu(first), 'fc2'));
}

/** Rows divided by their L2 norm (at least 1e-12, as torch's F.normalize); [N, D]. */
export function l2Normalise(rows: Tensor2D): Tensor2D {
  const normalise = tf.customGrad((x, save) => {
    const [y, norm] = tf.tidy(() => {
      const length = tf.maximum(tf.sqrt(tf.sum(tf.mul(x as Tensor, x as Tensor), 1, true)), 1e-12);
      return [tf.div(x as Tensor, length), length];
    }) as [Tensor, Tensor];
    (save as (tensors: Tensor[]) => void)([y, norm]);
    const gradFunc = (dy: Tensor, saved: Tensor[]): Tensor =>
      tf.tidy(() => {
        const [unit, length] = saved as [Tensor, Tensor];
        return tf.div(tf.sub(dy, tf.mul(unit, tf.sum(tf.mul(dy, unit), 1, true))), length);
      });
    return { value: y, gradFunc };
  });
  return normalise(rows) as Tensor2D;
}
