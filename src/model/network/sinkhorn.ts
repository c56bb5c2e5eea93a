/** Sinkhorn-Knopp: rows shared out among prototypes in equal parts (Cuturi 2013, arXiv 1306.0895; SwAV, Eq. 3-5). */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';

/** In logarithms, of a row that has no mass: far below what any row has. */
const NOTHING = -1e9;

export interface SinkhornOptions {
  /** Of the entropy: the smaller, the nearer codes come to one prototype each. */
  readonly epsilon: number;
  /** Each gives prototypes their equal shares of the rows, then rows their sum of 1. */
  readonly iterations: number;
}

/**
 * The codes of rows: of each the share that every prototype has in it, which sums to 1. Summed over the rows in use, prototypes come to
 * equal shares as iterations go on.
 *
 *   Q = diag(v) exp(scores / epsilon) diag(u), of which v and u are found in turn, in logarithms
 *
 * No gradient is defined: it belongs within `constantOf`.
 *
 * @param scores [B, K]: cosines of B rows with K prototypes
 * @param inUse [B], 1, or 0 for a row that takes no part in the sums over rows; its own codes sum to 1 nonetheless
 * @returns [B, K]
 */
export function sinkhorn(scores: Tensor2D, inUse: Tensor1D, { epsilon, iterations }: SinkhornOptions): Tensor2D {
  return tf.tidy(() => {
    const logits = tf.div(scores, epsilon);
    const mass = tf.expandDims(tf.mul(tf.sub(1, inUse), NOTHING), 1);
    // A factor that all rows or all prototypes have in common goes out with the next sum.
    let balanced = tf.add(logits, mass);
    for (let iteration = 1; ; iteration++) {
      const given = tf.sub(logits, tf.logSumExp(balanced, 0, true));
      if (iteration >= iterations) return tf.softmax(given, 1) as Tensor2D;
      balanced = tf.add(tf.sub(logits, tf.logSumExp(given, 1, true)), mass);
    }
  });
}
