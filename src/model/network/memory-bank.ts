/**
 * A memory bank (Wu et al., CVPR 2018, section 3.2): for each image of the data what the network made of it last, smoothed over epochs.
 *
 *   entry <- normalise(m entry + (1 - m) embedding), for the images of a step, of all ranks
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../../engine/engine.js';
import { Random, streamId } from '../../common/random.js';
import { l2Normalise } from './normalise.js';
import { randomUnitRows } from './queue.js';

export class MemoryBank {
  /** [images, dim], unit-norm rows; every rank has all of them. */
  readonly entries: Variable<Rank.R2>;
  readonly #engine: Engine;
  readonly #momentum: number;

  /** Random unit-norm entries. */
  constructor(
    engine: Engine,
    { images, dim, momentum }: { readonly images: number; readonly dim: number; readonly momentum: number },
    seed: number,
  ) {
    this.#engine = engine;
    this.#momentum = momentum;
    const rows = tf.tensor2d(randomUnitRows(images, dim, new Random(seed, streamId('bank'))), [images, dim]);
    this.entries = tf.variable(rows, false);
    rows.dispose();
  }

  /** Entries of these images, [n, dim]. */
  of(ordinals: Tensor1D): Tensor2D {
    return tf.gather<Tensor2D>(this.entries, ordinals);
  }

  /**
   * Moves the entries of the images of a step towards their embeddings. Of an image that comes twice the last embedding counts: one that stands in for
   * a bad sample may.
   *
   * @param embeddings [N, dim], unit norm, of all ranks
   * @param ordinals int32 [N], of all ranks
   * @param places 0..N-1, float32
   */
  update(embeddings: Tensor2D, ordinals: Tensor1D, places: Tensor1D): void {
    tf.tidy(() => {
      const moved = l2Normalise(tf.add(tf.mul(this.of(ordinals), this.#momentum), tf.mul(embeddings, 1 - this.#momentum)));
      const same = tf.cast(tf.equal(tf.expandDims(ordinals, 1), tf.expandDims(ordinals, 0)), 'float32'); // [N, N]
      const last = tf.cast(tf.max(tf.mul(same, places), 1), 'int32');
      this.#engine.scatterRows(this.entries, tf.gather(moved, last), ordinals);
    });
  }

  dispose(): void {
    this.entries.dispose();
  }
}
