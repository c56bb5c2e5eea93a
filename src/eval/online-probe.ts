/**
 * The linear probe that learns beside an encoder: softmax regression on the features of every batch, of which no gradient reaches the
 * encoder (lightly's and solo-learn's online classifiers).
 *
 * Features are normalised as by a batch norm without scale and offset, then to unit length: how large they are depends on the network and
 * changes as it learns, and one rate suits all.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import type { LabelledFeatures } from './features.js';
import { LinearProbe, NO_CLASS } from './linear-probe.js';

/** Of rows of unit length; it does not change, for a probe follows features that do not stand still. */
const RATE = 0.3;
const BN_EPSILON = 1e-5;
const BN_MOMENTUM = 0.1;
/** Images whose scores are computed at once. */
const BLOCK = 1024;

/** What the probe made of a batch before it learned from it. */
export interface ProbeGuesses {
  /** Share of right answers among the labelled images, [0, 1]. */
  readonly top1: number;
  /** Mean cross-entropy over them. */
  readonly loss: number;
}

export class OnlineProbe {
  /** ImageNet-21k has 21,841. Weights and velocities of 2048 dimensions take 512 MB then. */
  static readonly mostClasses = 2 ** 15;
  readonly #engine: Engine;
  readonly #dimensions: number;
  readonly #scale: Variable;
  readonly #offset: Variable;
  readonly #mean: Variable;
  readonly #variance: Variable;
  /** Absent until a label was seen. */
  #classifier: { readonly probe: LinearProbe; readonly classes: number } | undefined;

  /** @param dimensions of the features */
  constructor(engine: Engine, dimensions: number) {
    this.#engine = engine;
    this.#dimensions = dimensions;
    const filled = (value: number): Variable => tf.tidy(() => tf.variable(tf.tensor1d(new Float32Array(dimensions).fill(value)), false));
    [this.#scale, this.#offset, this.#mean, this.#variance] = [filled(1), filled(0), filled(0), filled(1)];
  }

  /** Bytes of what it has and makes in a step where its labels go up to `classes`: weights, velocities and gradients. */
  bytesFor(classes: number): number {
    return 3 * 4 * (this.#dimensions + 1) * columnsFor(classes);
  }

  /** That it has room for; 0 until it has seen a label. */
  get classes(): number {
    return this.#classifier?.classes ?? 0;
  }

  /** Whether it has seen a label. */
  get begun(): boolean {
    return this.#classifier !== undefined;
  }

  /** What a checkpoint holds of it; nothing until it has begun. */
  get state(): ReadonlyMap<string, Variable> {
    if (!this.#classifier) return new Map();
    return new Map([...this.#classifier.probe.state, ['running_mean', this.#mean], ['running_var', this.#variance]]);
  }

  /**
   * Makes room for the labels up to `classes`, which begin at zero; there are twice as many columns as before or more, so that this is rare.
   * @throws RangeError for more than `mostClasses`
   */
  reserve(classes: number): void {
    const had = this.#classifier;
    if (had && classes <= had.classes) return;
    if (classes > OnlineProbe.mostClasses)
      throw new RangeError(`label ${classes - 1}: expected at most ${OnlineProbe.mostClasses} classes, numbered from 0`);
    const columns = columnsFor(classes);
    const probe = new LinearProbe(this.#engine, this.#dimensions, columns, [1]);
    for (const [name, variable] of probe.state) {
      const before = had?.probe.state.get(name);
      if (!before) continue;
      const padding = before.shape.map((extent, axis): [number, number] => [0, (variable.shape[axis] as number) - extent]);
      tf.tidy(() => variable.assign(tf.pad(before, padding)));
    }
    had?.probe[Symbol.dispose]();
    this.#classifier = { probe, classes: columns };
  }

  /**
   * Guesses the classes of a batch, then learns from it by one step of SGD with momentum 0.9.
   *
   * @param features [N, dimensions], the same N each time; they stay the caller's
   * @param labels of the N images, from 0 and below `mostClasses`; undefined where one has none
   * @returns undefined where none has a label
   * @throws RangeError for a label beyond that
   */
  async learn(features: Tensor2D, labels: readonly (number | undefined)[]): Promise<ProbeGuesses | undefined> {
    const known = labels.filter((label) => label !== undefined);
    if (known.length === 0) return undefined;
    this.reserve(Math.max(...known) + 1);
    const { probe } = this.#classifier as { readonly probe: LinearProbe };
    const report = tf.tidy(() => {
      const rows = unitRows(this.#batchNorm(features));
      const targets = tf.tensor1d(
        Int32Array.from(labels, (label) => label ?? NO_CLASS),
        'int32',
      );
      const right = tf.sum(tf.cast(tf.equal(guesses(probe, rows), targets), 'float32'));
      // One tensor to read back, so the device is waited for once.
      return tf.concat([tf.expandDims(right), probe.step(rows, targets, RATE)]);
    });
    const [right = NaN, loss = NaN] = await report.data();
    report.dispose();
    return { top1: right / known.length, loss };
  }

  /** Share of right answers for features of images in eval mode, [0, 1]; undefined until it has begun. */
  async top1({ features, dimensions, labels }: LabelledFeatures): Promise<number | undefined> {
    if (!this.#classifier) return undefined;
    const { probe } = this.#classifier;
    let right = 0;
    for (let row = 0; row < labels.length; row += BLOCK) {
      const count = Math.min(BLOCK, labels.length - row);
      const found = tf.tidy(() => {
        const block = tf.tensor2d(features.subarray(row * dimensions, (row + count) * dimensions), [count, dimensions]);
        const centred = tf.sub(block, this.#mean);
        return guesses(probe, unitRows(tf.div(centred, tf.sqrt(tf.add(this.#variance, BN_EPSILON)))));
      });
      for (const [at, guess] of (await found.data()).entries()) if (guess === labels[row + at]) right++;
      found.dispose();
    }
    return right / labels.length;
  }

  [Symbol.dispose](): void {
    this.#classifier?.probe[Symbol.dispose]();
    tf.dispose([this.#scale, this.#offset, this.#mean, this.#variance]);
  }

  /** By the statistics of the batch, which move the running ones. */
  #batchNorm(features: Tensor2D): Tensor2D {
    const { y, mean, variance } = this.#engine.groupedBatchNorm(features, this.#scale, this.#offset, { groups: 1, epsilon: BN_EPSILON });
    this.#engine.lerp([this.#mean, this.#variance], [mean, variance], BN_MOMENTUM);
    return y as Tensor2D;
  }
}

/** A power of two, so that a class more is seldom a probe more. */
function columnsFor(classes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, classes)));
}

function unitRows(rows: Tensor2D): Tensor2D {
  return tf.div(rows, tf.maximum(tf.sqrt(tf.sum(tf.mul(rows, rows), 1, true)), 1e-12));
}

/** The likeliest class of each row, int32 [N]. */
function guesses(probe: LinearProbe, rows: Tensor2D): Tensor1D {
  return tf.argMax(tf.squeeze(probe.scores(rows), [1]), 1) as Tensor1D;
}
