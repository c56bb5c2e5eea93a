/** The linear probe on features that were computed once, without augmentation: an answer in seconds. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { Random, streamId } from '../common/random.js';
import type { Engine } from '../engine/engine.js';
import { Guesses } from './classification.js';
import type { Features, LabelledFeatures } from './features.js';
import { LinearProbe, NO_CLASS } from './linear-probe.js';
import { type LinearPlan, rateAt } from './linear-protocols.js';
import { toDevice } from './on-engine.js';

/**
 * Learning rates that are tried, at batch 256. The protocols' own are for the features of a ResNet-50 on ImageNet; how large features are
 * depends on the network and on what it was trained for. DINO searches, too (Caron et al. 2021, section 4.1; DINOv2 over 13 rates).
 */
export const RATES: readonly number[] = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
/** Of the training images, a fifth tells which rate is best; the validation images have no say. */
const HELD_OUT = 0.2;
/** Images whose scores are computed at once. */
const BLOCK = 1024;

export interface FitOptions {
  readonly pause?: () => Promise<void>;
  /** Called after each epoch with the share done, [0, 1]. */
  readonly onShare?: (share: number) => void;
}

export interface LinearFit {
  /** Learning rate at batch 256 that was used. */
  readonly rate: number;
  /** Mean cross-entropy over the last epoch. */
  readonly loss: number;
  /** The classifier's guesses. */
  guess(features: Features): Promise<Guesses>;
}

/**
 * Trains a probe on `train`, with the best of `RATES` by images that are held out, and then on all of them.
 *
 * @param rate instead of the search
 * @returns with the probe, which is the caller's to dispose of
 */
export async function fitCached(
  engine: Engine,
  train: LabelledFeatures,
  plan: LinearPlan,
  { rate, ...options }: FitOptions & { readonly rate?: number } = {},
): Promise<LinearFit & Disposable> {
  const rows = toDevice(train);
  try {
    const best = rate ?? (await search(engine, rows, train, plan, options));
    const probe = new LinearProbe(engine, train.dimensions, plan.classes, [best]);
    const all = train.labels.map((_, row) => row);
    const from = rate === undefined ? 0.5 : 0;
    const [loss = Number.NaN] = await epochs(probe, rows, train.labels, all, plan, part(options, from, 1));
    return {
      rate: best,
      loss,
      guess: (features) => guessAll(probe, features, plan.classes),
      [Symbol.dispose]: () => probe[Symbol.dispose](),
    };
  } finally {
    rows.dispose();
  }
}

/** Options of work that is a part of the whole. */
function part({ onShare, ...rest }: FitOptions, from: number, to: number): FitOptions {
  return { ...rest, ...(onShare && { onShare: (share) => onShare(from + (to - from) * share) }) };
}

/** The rate whose classifier is right most often on what it has not seen; of equals the smallest. */
async function search(engine: Engine, rows: Tensor2D, train: LabelledFeatures, plan: LinearPlan, options: FitOptions): Promise<number> {
  const order = [...new Random(plan.seed, streamId('held out')).permutation(train.labels.length)];
  const held = order.slice(0, Math.max(1, Math.floor(HELD_OUT * order.length)));
  using probe = new LinearProbe(engine, train.dimensions, plan.classes, RATES);
  await epochs(probe, rows, train.labels, order.slice(held.length), plan, part(options, 0, 0.5));
  const features = new Float32Array(held.length * train.dimensions);
  for (const [at, row] of held.entries())
    features.set(train.features.subarray(row * train.dimensions, (row + 1) * train.dimensions), at * train.dimensions);
  const labels = held.map((row) => train.labels[row] ?? NO_CLASS);
  const guesses = await guessEach(probe, { features, dimensions: train.dimensions }, plan.classes);
  const right = guesses.map((one) => one.top(1, labels));
  return RATES[right.indexOf(Math.max(...right))] ?? 1;
}

/** @returns the mean loss of each classifier over the last epoch */
async function epochs(
  probe: LinearProbe,
  rows: Tensor2D,
  labels: readonly number[],
  from: readonly number[],
  plan: LinearPlan,
  { pause, onShare }: FitOptions,
): Promise<Float32Array> {
  let losses: Tensor1D[] = [];
  for (let epoch = 0; epoch < plan.epochs; epoch++) {
    await pause?.();
    tf.dispose(losses);
    losses = [];
    const order = new Random(plan.seed, streamId('linear'), epoch).permutation(from.length);
    for (let first = 0; first < from.length; first += plan.batch) {
      // A last batch is filled up with rows of no class, so that all have one shape.
      const batch = Array.from({ length: plan.batch }, (_, at) => from[order[first + at] ?? -1]);
      losses.push(
        tf.tidy(() => {
          const features = tf.gather(
            rows,
            tf.tensor1d(
              batch.map((row) => row ?? 0),
              'int32',
            ),
          );
          const classes = tf.tensor1d(
            batch.map((row) => (row === undefined ? NO_CLASS : (labels[row] ?? NO_CLASS))),
            'int32',
          );
          return probe.step(features, classes, rateAt(plan, 1, epoch));
        }),
      );
    }
    onShare?.((epoch + 1) / plan.epochs);
  }
  const mean = tf.tidy(() => tf.mean(tf.stack(losses), 0));
  tf.dispose(losses);
  const values = (await mean.data()) as Float32Array;
  mean.dispose();
  return values;
}

/** Guesses of the only classifier of a probe. */
export async function guessAll(probe: LinearProbe, features: Features, classes: number): Promise<Guesses> {
  const [guesses] = await guessEach(probe, features, classes);
  return guesses ?? new Guesses(0);
}

/** Guesses of each classifier of a probe. */
async function guessEach(probe: LinearProbe, { features, dimensions }: Features, classes: number): Promise<Guesses[]> {
  const images = features.length / dimensions;
  let each: Guesses[] = [];
  for (let first = 0; first < images; first += BLOCK) {
    const scores = tf.tidy(() => {
      const block = features.subarray(first * dimensions, (first + BLOCK) * dimensions);
      return tf.transpose(probe.scores(toDevice({ features: block, dimensions })), [1, 0, 2]);
    });
    const [factors, rows] = scores.shape;
    const values = (await scores.data()) as Float32Array;
    scores.dispose();
    if (first === 0) each = Array.from({ length: factors }, () => new Guesses(images));
    for (const [factor, guesses] of each.entries())
      guesses.setByScores(first, values.subarray(factor * rows * classes, (factor + 1) * rows * classes), classes);
  }
  return each;
}
