/** One update of a method: a batch in, a loss out. The only place where bytes become tensors. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { augmentOnDevice } from './device-augment.js';
import { type DecodedBatch, decodeOnDevice } from './device-decode.js';
import type { Engine, NamedTensors } from '../engine/engine.js';
import type { JpegDecoder } from '../engine/jpeg-decoder.js';
import type { Ranks } from '../engine/ranks.js';
import type { OnlineProbe, ProbeGuesses } from '../eval/index.js';
import { NO_CLASS } from '../eval/linear-probe.js';
import type { Method, StepAt, StepSamples } from '../model/index.js';
import { groupsOfRank } from '../model/network/network.js';
import type { Optimizer } from './optimizer/optimizer.js';
import type { Batch, BatchView, SampleInfo } from '../pipeline/batch/batch.js';
import { AS_THEY_COME, type RowOrder, rowOrder } from './row-order.js';
import { stepSamples } from './step-samples.js';

export interface StepResult {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly featureStd: number;
  /** Where a probe learns, and an image had a label. */
  readonly probe?: ProbeGuesses;
  /** Of all ranks, where each told its own. */
  readonly told?: Told;
}

export interface TrainStepOptions {
  readonly engine: Engine;
  readonly method: Method;
  /** Of the method's parameters. */
  readonly optimizer: Optimizer;
  /** Learns from the features of each update; what is trained does not depend on it. */
  readonly probe?: OnlineProbe;
  /** Batch norm groups whose images are interleaved, of all ranks. Default: images stay as they come. */
  readonly interleaved?: number;
  /** Of batches whose images come compressed. */
  readonly decoder?: JpegDecoder | undefined;
  /** Told of samples whose images that does not decode. */
  readonly onRefused?: ((samples: readonly SampleInfo[]) => void) | undefined;
}

/** What the user asks for while a run goes on: of one rank, or of any. */
export interface Wishes {
  readonly stop: boolean;
  /** A checkpoint. */
  readonly save: boolean;
}

/** What a rank tells the others with every update; of all, what any wishes, and how many they have together. */
export interface Told extends Wishes {
  readonly badSamples: number;
}

/** What differs between updates besides the batch. */
export interface StepSettings extends Pick<StepAt, 'step' | 'progress' | 'epoch'> {
  readonly learningRate: number;
  /** Of this rank, where there are several. */
  readonly told?: Told;
}

export interface TrainStep {
  /** Uploads the views of a batch and gives its slot back to the workers. */
  stage(batch: Batch): Promise<StagedViews>;
  /**
   * Gives the device its work before it returns a promise of the losses; the views are freed.
   * @param labels of the images, for the probe
   */
  run(staged: StagedViews, settings: StepSettings, labels?: Labels): Promise<StepResult>;
}

/** The class of each image of a batch, undefined where it has none. */
export type Labels = readonly (number | undefined)[];

/** The views of a batch on the device, normalised, and what is known of its images. */
export interface StagedViews {
  readonly tensors: NamedTensors;
  readonly samples: StepSamples;
}

/** Names of what the device work of an update reads besides variables: a view and an input may have the same. */
const VIEW = 'view.';
const INPUT = 'input.';

function upload(engine: Engine, method: Method, { batch, levels }: Pick<DecodedBatch, 'batch' | 'levels'>): NamedTensors {
  const views: Record<string, Tensor> = {};
  for (const name of method.views) {
    const view = batch.views[name];
    if (!view) throw new Error(`Training needs the view ${name}: the recipe makes ${Object.keys(batch.views).join(', ')}`);
    const { data, shape, pending } = view;
    if (method.levels?.includes(name)) {
      // What a device could do to them it has left to the worker.
      views[name] = levels(view);
      continue;
    }
    const send = method.exchanged.includes(name) ? engine.ranks.upload : undefined;
    views[name] = pending
      ? augmentOnDevice(levels(view) as Tensor4D, pending, engine)
      : (send?.(data, shape) ?? engine.upload(data, shape));
  }
  batch.release();
  return views;
}

/**
 * The update of a run: forward, backward, the optimizer, and what the method does after it.
 *
 * What the device does is compiled once (`Engine.compile`); around it the host uploads a batch's views and what changes from
 * step to step, reads the losses back, and moves the method's host state. What a method draws for a step is keyed by (seed, step), so an
 * update depends on nothing but the state before it.
 */
export function createTrainStep({ engine, method, optimizer, probe, interleaved, decoder, onRefused }: TrainStepOptions): TrainStep {
  const { ranks } = engine;
  const orderOf = (share: number): RowOrder =>
    interleaved === undefined ? AS_THEY_COME : rowOrder(share, groupsOfRank(interleaved, ranks.size), ranks.size);
  const compute = engine.compile(({ learningRate, told, ...all }: NamedTensors) =>
    tf.tidy(() => {
      const inputs = without(INPUT, all);
      const { loss, featureStd, features, terms, gradients, carry } = method.step(without(VIEW, all), inputs);
      optimizer.update(meanOver(ranks, gradients), learningRate as Scalar);
      method.settle(carry, inputs);
      // One tensor to read back, so the device is waited for once; what ranks tell each other travels with it.
      const own = tf.stack([loss, featureStd, ...method.terms.map((name) => terms[name] as Scalar)]);
      const [report] = ranks.mean([told ? tf.concat([own, told]) : own]) as [Tensor];
      return { report, ...(probe && { features: ranks.gather(features as Tensor2D) }) };
    }),
  );

  return {
    async stage(batch) {
      const { order } = orderOf(batch.size);
      const decoded = decoder && batch.compressed ? await decodeOnDevice(batch, decoder, engine, onRefused) : undefined;
      const levels = ({ data, shape }: BatchView): Tensor => engine.upload(data, shape, 'levels');
      try {
        const tensors = tf.tidy(() => {
          const views = upload(engine, method, decoded ?? { batch, levels });
          return order ? mapped(views, (view) => tf.gather(view, order)) : views;
        });
        return { tensors, samples: stepSamples(batch, order) };
      } finally {
        decoded?.dispose();
      }
    },

    async run({ tensors, samples }, { learningRate, told, ...at }, labels = []) {
      const [share = 0] = Object.values(tensors)[0]?.shape ?? [];
      const batch = ranks.size * share;
      const { order, rows } = orderOf(share);
      const { report, features } = tf.tidy(() =>
        compute({
          ...within(VIEW, tensors),
          ...within(INPUT, method.inputs({ ...at, batch, samples, ...(rows && { rows }) })),
          learningRate: tf.scalar(learningRate),
          ...(told && { told: tf.tensor1d([Number(told.stop), Number(told.save), told.badSamples]) }),
        }),
      );
      tf.dispose(Object.values(tensors));
      method.advance(batch);
      const [loss = NaN, featureStd = NaN, ...terms] = await report.data();
      const [stop = 0, save = 0, badSamples = 0] = terms.slice(method.terms.length);
      report.dispose();
      const staged = order ? [...order].map((turn) => labels[turn]) : labels;
      const guesses = features && (await probe?.learn(features as Tensor2D, await ofAllRanks(ranks, staged)));
      features?.dispose();
      return {
        loss,
        featureStd,
        terms: Object.fromEntries(method.terms.map((name, index) => [name, terms[index] ?? NaN])),
        ...(guesses && { probe: guesses }),
        // They were told as means over ranks.
        ...(told && { told: { stop: stop > 0, save: save > 0, badSamples: Math.round(badSamples * ranks.size) } }),
      };
    },
  };
}

/** The probe of every rank learns from the images of all, and so they stay one. */
async function ofAllRanks(ranks: Ranks, labels: Labels): Promise<Labels> {
  if (ranks.size === 1) return labels;
  const own = Int32Array.from(labels, (label) => label ?? NO_CLASS);
  const gathered = tf.tidy(() => ranks.gather(tf.tensor1d(own, 'int32')));
  const all = await gathered.data();
  gathered.dispose();
  return Array.from(all, (label) => (label === NO_CLASS ? undefined : label));
}

function meanOver(ranks: Ranks, tensors: NamedTensors): NamedTensors {
  const means = ranks.mean(Object.values(tensors));
  return Object.fromEntries(Object.keys(tensors).map((name, i) => [name, means[i] as Tensor]));
}

function mapped(tensors: NamedTensors, map: (tensor: Tensor) => Tensor): NamedTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, map(tensor)]));
}

function within(prefix: string, tensors: NamedTensors): NamedTensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix}${name}`, tensor]));
}

/** The tensors whose names begin with the prefix, by what follows it. */
function without(prefix: string, tensors: NamedTensors): NamedTensors {
  const entries = Object.entries(tensors).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(entries.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** What is not a finite number in the result of a step, `loss` last; undefined when all is well. */
export function nonFiniteTerm({ loss, terms }: StepResult): string | undefined {
  const term = Object.entries(terms).find(([, value]) => !Number.isFinite(value));
  return term?.[0] ?? (Number.isFinite(loss) ? undefined : 'loss');
}
