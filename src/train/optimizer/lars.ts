/**
 * LARS (You et al. 2017, arXiv 1708.03888), as SimCLR and BYOL use it for large batches:
 *
 *   v <- m v + r (g + d p);  p <- p - lr v;  r = trust |p| / |g + d p|, or 1 where either norm is 0
 *
 * Groups that are not adapted have r = 1, groups without decay d = 0.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine } from '../../engine/engine.js';
import type { ParameterGroup } from '../../model/index.js';
import type { Optimizer } from './optimizer.js';
import { sgd } from './sgd.js';

const share = z.number().min(0).max(1);

export const larsSchema = z.strictObject({
  name: z.literal('lars'),
  momentum: share.default(0.9),
  weightDecay: share.default(1e-6),
  /** The trust coefficient, eta. */
  trust: z.number().positive().max(1).default(1e-3),
});
export type LarsOptions = Readonly<Omit<z.output<typeof larsSchema>, 'name'>>;

/** SGD by the adapted gradients, in which the decay is already. Its state is that of SGD. */
export function lars(engine: Engine, groups: readonly ParameterGroup[], { momentum, weightDecay, trust }: LarsOptions): Optimizer {
  const descent = sgd(
    engine,
    groups.map((group) => ({ ...group, decay: group.decay && !group.adapted })),
    { momentum, weightDecay },
  );
  const adapted = groups
    .filter((group) => group.adapted)
    .flatMap(({ variables, decay }) => [...variables].map(([name, parameter]) => ({ name, parameter, decay: decay ? weightDecay : 0 })));
  return {
    ...descent,
    update: (gradients, rate) =>
      tf.tidy(() => {
        const scaled = adapted.map(({ name, parameter, decay }) => [name, adapt(gradients[name] as Tensor, parameter, decay, trust)]);
        descent.update({ ...gradients, ...(Object.fromEntries(scaled) as typeof gradients) }, rate);
      }),
  };
}

/** r (g + d p) */
function adapt(gradient: Tensor, parameter: Tensor, decay: number, trust: number): Tensor {
  return tf.tidy(() => {
    const decayed = tf.add(gradient, tf.mul(parameter, decay));
    const [weight, length] = [l2(parameter), l2(decayed)];
    const both = tf.logicalAnd(tf.greater(weight, 0), tf.greater(length, 0));
    // The norm that is 0 divides nothing that is kept.
    const ratio = tf.where(both, tf.div(tf.mul(weight, trust), tf.where(both, length, tf.onesLike(length))), tf.onesLike(length));
    return tf.mul(decayed, ratio);
  });
}

function l2(x: Tensor): Tensor {
  return tf.sqrt(tf.sum(tf.mul(x, x)));
}
