/** How several ranks evaluate one encoder: each reads its part of the images, and they tell each other what they found. */
import * as tf from '@tensorflow/tfjs-core';
import type { Ranks } from '../engine/ranks.js';
import type { ImageShare, LabelledFeatures } from '../eval/index.js';
import type { Agreement } from './agreement.js';
import type { EvaluationResult } from './metrics.js';
import { turn } from './turn.js';

/** All ranks call these, in the same order. */
export interface EvaluationShares {
  /** Which part of the images is for this rank, and of the cores; undefined where it is alone. */
  readonly own: (ImageShare & { readonly cores: number }) | undefined;

  /** Of all ranks together. */
  total(images: number): Promise<number>;

  /** Features of the images of all ranks, in rank order. */
  gathered(features: LabelledFeatures): Promise<LabelledFeatures>;

  /**
   * The mean over the images of all ranks.
   * @param of this rank's images: their mean; not asked where it has none
   */
  mean(images: number, of: () => Promise<number>): Promise<number>;
}

/** Of a process that is alone. */
export const NO_SHARES: EvaluationShares = {
  own: undefined,
  total: async (images) => images,
  gathered: async (features) => features,
  mean: (_images, of) => of(),
};

/** @throws each method StopAgreed where a rank wants to stop */
export function sharesOf(agreement: Agreement, ranks: Ranks, cores: number): EvaluationShares {
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    own: { rank: ranks.rank, size: ranks.size, exchange: (said) => agreement.together(said), cores },

    total: async (images) => sum(await agreement.together(images)),

    async gathered({ features, dimensions: own, labels }) {
      const all = await agreement.together({ own, labels });
      const dimensions = Math.max(...all.map((rank) => rank.own));
      // A collective has as many rows of each rank.
      const rows = Math.max(...all.map((rank) => rank.labels.length));
      const padded = new Float32Array(rows * dimensions);
      padded.set(features);
      const tensor = tf.tidy(() => ranks.gather(tf.tensor2d(padded, [rows, dimensions])));
      const gathered = (await tensor.data()) as Float32Array;
      tensor.dispose();
      const kept = new Float32Array(sum(all.map((rank) => rank.labels.length)) * dimensions);
      let at = 0;
      for (const [rank, { labels: its }] of all.entries()) {
        const first = rank * rows * dimensions;
        kept.set(gathered.subarray(first, first + its.length * dimensions), at);
        at += its.length * dimensions;
      }
      return { features: kept, dimensions, labels: all.flatMap((rank) => rank.labels) };
    },

    async mean(images, of) {
      const all = await agreement.together({ images, mean: images === 0 ? 0 : await of() });
      return sum(all.map((rank) => rank.images * rank.mean)) / sum(all.map((rank) => rank.images));
    },
  };
}

type Evaluate = (pause: () => Promise<void>) => Promise<EvaluationResult>;

/** An evaluation by all ranks. One that is told to stop leaves it, and tells the others where they would hear of what it found. */
export function evaluateTogether(evaluate: Evaluate, agreement: Agreement, signal: AbortSignal | undefined): Evaluate {
  const pause = async (): Promise<void> => {
    await turn();
    signal?.throwIfAborted();
  };
  return async () => {
    const found = await evaluate(pause).catch(async (error: unknown) => {
      if (signal?.aborted && error === signal.reason) await agreement.orStop(true);
      throw error;
    });
    await agreement.orStop(signal?.aborted ?? false);
    return found;
  };
}
