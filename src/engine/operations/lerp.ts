/** target <- target + weight (source - target), as TensorFlow.js operations. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkPairs, checkScalar } from '../check.js';
import type { Engine } from '../engine.js';

type LerpByNumber = (targets: readonly Variable[], sources: readonly Tensor[], weight: number) => void;

/** `Engine.lerp` for an engine that is fast where the weight is a number: one on the device is applied before. */
export function lerp(byNumber: LerpByNumber): Engine['lerp'] {
  return (targets, sources, weight) => {
    checkPairs('sources', targets, sources);
    if (typeof weight === 'number') return byNumber(targets, sources, weight);
    checkScalar('lerp weight', weight, 'float32');
    targets.forEach((target, i) => tf.tidy(() => byNumber([target], [between(target, sources[i] as Tensor, weight)], 1)));
  };
}

export const compositeLerp = lerp((targets, sources, weight) => {
  targets.forEach((target, i) => tf.tidy(() => target.assign(between(target, sources[i] as Tensor, weight))));
});

/** From the nearer end, as torch.lerp: weights 0 and 1 give target and source to the last bit. */
function between(target: Tensor, source: Tensor, weight: number | Scalar): Tensor {
  const way = tf.sub(source, target);
  if (typeof weight !== 'number' || weight < 0.5) return tf.add(target, tf.mul(way, weight));
  return tf.add(source, tf.mul(way, weight - 1));
}
