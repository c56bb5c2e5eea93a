/** Embeddings on the unit sphere. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { Ranks } from '../../engine/ranks.js';

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

/**
 * Mean over dimensions of the standard deviation over the rows of all ranks, [N, D] -> scalar: about 1/sqrt(D) for rows that are spread, 0 when
 * all are one. No gradient flows through it.
 */
export function deviation(rows: Tensor2D, ranks: Ranks): Scalar {
  return tf.tidy(() => {
    const all = ranks.gather(rows);
    const centred = tf.sub(all, tf.mean(all, 0, true));
    return tf.mean(tf.sqrt(tf.mean(tf.mul(centred, centred), 0)));
  });
}
