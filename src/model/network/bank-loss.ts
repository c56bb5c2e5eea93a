/**
 * How embeddings are held against the entries of a memory bank: a positive each, and m negatives that a batch has in common.
 *
 *   nce      P(i|v) = exp(v.f_i/tau) / Z,  h(i, v) = P / (P + m/n)          (Wu et al., Eq. 5, 6; n images)
 *            L = -log h(positive) - sum over the negatives of log(1 - h)    (Eq. 7)
 *            Z = n times the mean of exp(v.f/tau) of the first step         (Eq. 8)
 *   softmax  InfoNCE: the cross-entropy of the positive among all m + 1
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../../engine/engine.js';
import { constantOf } from './differentiate.js';

export const BANK_LOSSES = ['nce', 'softmax'] as const;

export interface BankLossOptions {
  readonly loss: (typeof BANK_LOSSES)[number];
  readonly temperature: number;
  /** Of the bank. */
  readonly images: number;
}

/** What embeddings are held against, both of unit norm: [n, dim], and [m, dim] of all ranks alike. */
export interface BankRows {
  readonly positives: Tensor2D;
  readonly negatives: Tensor2D;
}

export class BankLoss {
  /** [1, 1], of NCE. */
  readonly logZ: Variable | undefined;
  readonly #engine: Engine;
  readonly #options: BankLossOptions;

  constructor(engine: Engine, options: BankLossOptions) {
    this.#engine = engine;
    this.#options = options;
    if (options.loss === 'nce') this.logZ = tf.tidy(() => tf.variable(tf.zeros([1, 1]), false));
  }

  /**
   * The mean over embeddings, differentiable in them, with the log Z that it was made with, [1, 1].
   *
   * @param embeddings [n, dim], unit norm
   * @param first 1 in the first step of a run, 0 afterwards
   */
  of(embeddings: Tensor2D, rows: BankRows, first: Scalar): { readonly loss: Scalar; readonly logZ?: Tensor } {
    const { temperature } = this.#options;
    if (!this.logZ) return { loss: this.#engine.infoNce(embeddings, rows.positives, rows.negatives, temperature) };
    const positive = tf.div(tf.sum(tf.mul(embeddings, rows.positives), 1, true), temperature); // [n, 1]
    const negative = tf.div(this.#engine.similarities(embeddings, rows.negatives), temperature); // [n, m]
    const estimate = constantOf(tf.concat([positive, negative], 1), (scores) => this.#estimate(scores as Tensor2D));
    const logZ = tf.add(this.logZ, tf.mul(first, tf.sub(estimate, this.logZ)));
    // h = sigmoid(score - log(Z m/n))
    const threshold = tf.add(logZ, Math.log(rows.negatives.shape[0] / this.#options.images));
    const losses = tf.add(tf.softplus(tf.sub(threshold, positive)), tf.sum(tf.softplus(tf.sub(negative, threshold)), 1, true));
    return { loss: tf.mean(losses), logZ };
  }

  /** Keeps log Z as the first step had it. */
  settle(logZ: Tensor | undefined, first: Scalar): void {
    if (this.logZ && logZ) this.#engine.lerp([this.logZ], [logZ], first);
  }

  dispose(): void {
    this.logZ?.dispose();
  }

  /** log Z of the scores of all ranks, [n, m + 1] each -> [1, 1]. */
  #estimate(scores: Tensor2D): Tensor2D {
    const { ranks } = this.#engine;
    const own = tf.reshape(tf.logSumExp(scores), [1]) as Tensor1D;
    const all = tf.logSumExp(ranks.gather(own));
    return tf.reshape(tf.add(all, Math.log(this.#options.images / (ranks.size * scores.size))), [1, 1]);
  }
}
