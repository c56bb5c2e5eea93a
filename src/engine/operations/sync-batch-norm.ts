/**
 * Batch norm by the statistics of the images of all ranks (SyncBN), of operations that every engine has: each rank tells its own mean and
 * variance in the forward pass, and two sums in the backward pass.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import type { Engine, GroupedBatchNormResult } from '../engine.js';
import type { Ranks } from '../ranks.js';

/** As `Engine.groupedBatchNorm` of one group, which has as many rows on each rank. */
export function syncBatchNorm(
  { ranks }: Pick<Engine, 'ranks'>,
  x: Tensor,
  scale: Tensor,
  offset: Tensor,
  { epsilon, relu, residual }: { readonly epsilon: number; readonly relu?: boolean | undefined; readonly residual?: Tensor | undefined },
): GroupedBatchNormResult {
  const [axes, rows] = [x.shape.map((_, axis) => axis).slice(0, -1), x.size / (x.shape.at(-1) ?? 1)];
  const total = ranks.size * rows;
  const kept: { mean?: Tensor; variance?: Tensor } = {};
  const normalise = tf.customGrad((...given) => {
    const [input, factor, shift, save] = given as unknown as [Tensor, Tensor, Tensor, (tensors: Tensor[]) => void];
    const { mean, variance } = momentsOfAll(ranks, input, axes);
    kept.mean = tf.keep(mean);
    kept.variance = tf.keep(tf.mul(variance, total / Math.max(1, total - 1)));
    const inverse = tf.rsqrt(tf.add(variance, epsilon));
    const unit = tf.mul(tf.sub(input, mean), inverse);
    save([unit, tf.mul(factor, inverse)]);
    const gradFunc = (dy: Tensor, saved: Tensor[]): Tensor[] => {
      const [normal, rate] = saved as [Tensor, Tensor];
      const own = [tf.sum(dy, axes), tf.sum(tf.mul(dy, normal), axes)] as [Tensor, Tensor];
      const [ofDy, ofProduct] = ranks.mean(own).map((sum) => tf.div(sum, rows)) as [Tensor, Tensor];
      const dx = tf.mul(rate, tf.sub(tf.sub(dy, ofDy), tf.mul(normal, ofProduct)));
      return [dx, own[1], own[0]];
    };
    return { value: tf.add(tf.mul(unit, factor), shift), gradFunc };
  });
  const normal = normalise(x, scale, offset);
  const added = residual ? tf.add(normal, residual) : normal;
  return { y: relu ? tf.relu(added) : added, mean: kept.mean as Tensor, variance: kept.variance as Tensor };
}

/** Mean and biased variance of as many rows of each rank: those of the ranks together, not sums of squares, which cancel. */
function momentsOfAll(ranks: Ranks, x: Tensor, axes: number[]): { mean: Tensor; variance: Tensor } {
  const own = tf.moments(x, axes);
  const [means, variances] = tf.unstack(ranks.gather(tf.stack([tf.stack([own.mean, own.variance])])), 1) as [Tensor, Tensor]; // [size, C]
  const mean = tf.mean(means, 0) as Tensor1D;
  return { mean, variance: tf.add(tf.mean(variances, 0), tf.mean(tf.square(tf.sub(means, mean)), 0)) };
}
