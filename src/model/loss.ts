/** InfoNCE (van den Oord et al. 2018; DetCo Eq. 2, 4, 5) with a queue of negatives. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D } from '@tensorflow/tfjs-core';

/**
 * -log( exp(q.k/tau) / (exp(q.k/tau) + sum over the queue of exp(q.n/tau)) ), the mean over images.
 * Differentiable in the queries alone, as MoCo's.
 *
 * The gradient is made along with the loss: N x K logits (64 MiB for a batch of 256 against 65536 keys) live no longer
 * than this call, where a tape would keep several such tensors for each of DetCo's twelve terms.
 *
 * @param queries [N, D], unit norm
 * @param keys [N, D], the positive of each query, unit norm
 * @param queue [K, D], the negatives, unit norm
 */
export function infoNce(queries: Tensor2D, keys: Tensor2D, queue: Tensor2D, temperature: number): Scalar {
  const [n] = queries.shape;
  const loss = tf.customGrad((q, save) => {
    const [value, gradient] = tf.tidy(() => {
      const scaled = tf.div(q as Tensor2D, temperature);
      const positive = tf.sum(tf.mul(scaled, keys), 1, true); // [N, 1]
      const negatives = tf.matMul(scaled, queue, false, true); // [N, K]
      const largest = tf.maximum(tf.max(negatives, 1, true), positive);
      const p = tf.exp(tf.sub(positive, largest));
      const e = tf.exp(tf.sub(negatives, largest));
      const sum = tf.add(tf.sum(e, 1, true), p);
      const each = tf.add(tf.log(sum), tf.sub(largest, positive));
      // d each / d q = (sum of probability x key - positive key) / tau
      const expected = tf.div(tf.add(tf.matMul(e, queue), tf.mul(p, keys)), sum);
      return [tf.mean(each), tf.div(tf.sub(expected, keys), n * temperature)];
    });
    (save as (tensors: tf.Tensor[]) => void)([gradient as tf.Tensor]);
    return { value: value as Scalar, gradFunc: (dy: Scalar, saved: tf.Tensor[]) => tf.mul(saved[0] as tf.Tensor, dy) };
  });
  return loss(queries) as Scalar;
}
