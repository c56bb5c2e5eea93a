/**
 * LARS (You et al. 2017, arXiv 1708.03888), as SimCLR and BYOL use it for large batches:
 *
 *   v <- m v + r (g + d p);  p <- p - lr v;  r = trust |p| / |g + d p|, or 1 where either norm is 0
 *
 * Biases and batch norms, which are the parameters of one dimension, have r = 1 and no decay (SimCLR section 2.2; BYOL section 3.2).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine } from '../../engine/engine.js';
import type { Optimizer } from './optimizer.js';
import { zerosLike } from './sgd.js';

const share = z.number().min(0).max(1);

export const larsSchema = z.strictObject({
  name: z.literal('lars'),
  momentum: share.default(0.9),
  weightDecay: share.default(1e-6),
  /** The trust coefficient, eta. */
  trust: z.number().positive().max(1).default(1e-3),
});
export type LarsOptions = Readonly<Omit<z.output<typeof larsSchema>, 'name'>>;

/** Its state is the velocities, which start as zeros. */
export function lars(engine: Engine, parameters: ReadonlyMap<string, Variable>, { momentum, weightDecay, trust }: LarsOptions): Optimizer {
  const state = zerosLike(parameters);
  const [targets, velocities] = [[...parameters.values()], [...state.values()]];
  const adapted = (gradient: Tensor, parameter: Tensor): Tensor => {
    const decayed = tf.add(gradient, tf.mul(parameter, weightDecay));
    const [weight, length] = [l2(parameter), l2(decayed)];
    const both = tf.logicalAnd(tf.greater(weight, 0), tf.greater(length, 0));
    // The norm that is 0 divides nothing that is kept.
    const ratio = tf.where(both, tf.div(tf.mul(weight, trust), tf.where(both, length, tf.onesLike(length))), tf.onesLike(length));
    return tf.mul(decayed, ratio);
  };
  return {
    state,
    update: (gradients, learningRate) =>
      tf.tidy(() => {
        const scaled = targets.map((parameter, i) => {
          const gradient = gradients[i] as Tensor;
          return parameter.rank > 1 ? tf.tidy(() => adapted(gradient, parameter)) : gradient;
        });
        engine.sgd(targets, scaled, velocities, { learningRate, momentum, weightDecay: 0 });
      }),
    dispose() {
      for (const velocity of velocities) velocity.dispose();
    },
  };
}

function l2(x: Tensor): Tensor {
  return tf.sqrt(tf.sum(tf.mul(x, x)));
}
