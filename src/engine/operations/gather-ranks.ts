import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Ranks } from '../ranks.js';

/**
 * Rows of all ranks, [n, D] of each -> [size n, D] in rank order, differentiable: a rank's rows have the gradient of the losses of all
 * ranks, of which `Ranks.mean` then makes that of their mean.
 */
export function gatherRanks(ranks: Ranks, x: Tensor2D): Tensor2D {
  if (ranks.size === 1) return x;
  const [rows, width] = x.shape;
  const gathered = tf.customGrad((own) => ({
    value: ranks.gather(own as Tensor2D),
    gradFunc: (dy: Tensor2D) => {
      const [mean] = ranks.mean([dy]) as [Tensor2D];
      return tf.mul(tf.slice(mean, [ranks.rank * rows, 0], [rows, width]), ranks.size);
    },
  }));
  return gathered(x) as Tensor2D;
}
