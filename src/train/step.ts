/** One update of a method: a batch in, a loss out. The only place where bytes become tensors. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { augmentOnDevice } from './device-augment.js';
import type { Engine, NamedTensors } from '../engine/engine.js';
import type { OnlineProbe, ProbeGuesses } from '../eval/index.js';
import type { Method, StepAt } from '../model/index.js';
import type { Optimizer } from './optimizer/optimizer.js';
import type { Batch } from '../pipeline/batch/batch.js';

export interface StepResult {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly featureStd: number;
  /** Where a probe learns, and an image had a label. */
  readonly probe?: ProbeGuesses;
}

export interface TrainStepOptions {
  readonly engine: Engine;
  readonly method: Method;
  /** Of the method's parameters. */
  readonly optimizer: Optimizer;
  /** Learns from the features of each update; what is trained does not depend on it. */
  readonly probe?: OnlineProbe;
}

/** What differs between updates besides the batch. */
export interface StepSettings extends Pick<StepAt, 'step' | 'progress'> {
  readonly learningRate: number;
}

export interface TrainStep {
  /** Uploads the views of a batch and gives its slot back to the workers. */
  stage(batch: Batch): StagedViews;
  /**
   * Gives the device its work before it returns a promise of the losses; `views` are freed.
   * @param labels of the images, for the probe
   */
  run(views: StagedViews, settings: StepSettings, labels?: Labels): Promise<StepResult>;
}

/** The class of each image of a batch, undefined where it has none. */
export type Labels = readonly (number | undefined)[];

/** The views of a batch on the device, normalised. */
export type StagedViews = NamedTensors;

/** Names of what the device work of an update reads besides variables: a view and an input may have the same. */
const VIEW = 'view.';
const INPUT = 'input.';

function upload(engine: Engine, names: readonly string[], batch: Batch): StagedViews {
  const views: Record<string, Tensor> = {};
  for (const name of names) {
    const view = batch.views[name];
    if (!view) throw new Error(`Training needs the view ${name}: the recipe makes ${Object.keys(batch.views).join(', ')}`);
    const { data, shape, pending } = view;
    views[name] = pending ? augmentOnDevice(engine.upload(data, shape, 'levels') as Tensor4D, pending) : engine.upload(data, shape);
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
export function createTrainStep({ engine, method, optimizer, probe }: TrainStepOptions): TrainStep {
  const compute = engine.compile(({ learningRate, ...all }: NamedTensors) =>
    tf.tidy(() => {
      const inputs = without(INPUT, all);
      const { loss, featureStd, features, terms, gradients, carry } = method.step(without(VIEW, all), inputs);
      optimizer.update(gradients, learningRate as Scalar);
      method.settle(carry, inputs);
      // One tensor to read back, so the device is waited for once.
      const report = tf.stack([loss, featureStd, ...method.terms.map((name) => terms[name] as Scalar)]);
      return { report, ...(probe && { features }) };
    }),
  );

  return {
    stage: (batch) => tf.tidy(() => upload(engine, method.views, batch)),

    async run(views, { learningRate, ...at }, labels = []) {
      const [batch = 0] = Object.values(views)[0]?.shape ?? [];
      const { report, features } = tf.tidy(() =>
        compute({ ...within(VIEW, views), ...within(INPUT, method.inputs({ ...at, batch })), learningRate: tf.scalar(learningRate) }),
      );
      tf.dispose(Object.values(views));
      method.advance(batch);
      const [loss = NaN, featureStd = NaN, ...terms] = await report.data();
      report.dispose();
      const guesses = features && (await probe?.learn(features as Tensor2D, labels));
      features?.dispose();
      return {
        loss,
        featureStd,
        terms: Object.fromEntries(method.terms.map((name, index) => [name, terms[index] ?? NaN])),
        ...(guesses && { probe: guesses }),
      };
    },
  };
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
