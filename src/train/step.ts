/** One update of a contrastive method: a batch in, a loss out. The only place where bytes become tensors. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor4D, Tensor5D, Variable } from '@tensorflow/tfjs-core';
import { augmentOnDevice } from './device-augment.js';
import type { Engine } from '../engine/engine.js';
import { permutation, type ContrastiveMethod } from '../model/index.js';
import type { Batch } from '../pipeline/batch/batch.js';
import { Random, streamId } from '../pipeline/plan/random.js';

export interface StepResult {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly featureStd: number;
}

export interface TrainStepOptions {
  readonly engine: Engine;
  readonly method: ContrastiveMethod;
  /** One for each of `method.parameters`, in their order. */
  readonly velocities: readonly Variable[];
  /** Of the ShuffleBN permutations. */
  readonly seed: number;
  readonly momentum: number;
  readonly weightDecay: number;
}

/** What differs between updates besides the batch. */
export interface StepSettings {
  /** Updates done before this one. */
  readonly step: number;
  readonly learningRate: number;
}

export interface TrainStep {
  /** Uploads the views of a batch and gives its slot back to the workers. */
  stage(batch: Batch): StagedViews;
  /** Gives the device its work before it returns a promise of the losses; `views` are freed. */
  run(views: StagedViews, settings: StepSettings): Promise<StepResult>;
}

/** The views of a batch on the device, normalised. */
export type StagedViews = {
  readonly globalQ: Tensor4D;
  readonly globalK: Tensor4D;
  readonly patchesQ?: Tensor5D;
  readonly patchesK?: Tensor5D;
};

/** All that the device work of an update reads besides variables. */
type StepInputs = StagedViews & {
  readonly globalOrder: Tensor1D;
  readonly globalInverse: Tensor1D;
  readonly localOrder: Tensor1D;
  readonly localInverse: Tensor1D;
  readonly learningRate: Scalar;
  readonly pointer: Scalar;
};

const GLOBAL_STREAM = streamId('shuffleBN.global');
const LOCAL_STREAM = streamId('shuffleBN.local');

function upload(engine: Engine, batch: Batch): StagedViews {
  const tensor = (name: string): Tensor | undefined => {
    const view = batch.views[name];
    if (!view) return undefined;
    const uploaded = engine.upload(view.data, view.shape);
    return view.pending ? augmentOnDevice(uploaded as Tensor4D, view.pending) : uploaded;
  };
  const [globalQ, globalK, patchesQ, patchesK] = [tensor('globalQ'), tensor('globalK'), tensor('patchesQ'), tensor('patchesK')];
  if (!globalQ || !globalK)
    throw new Error(`Training needs the views globalQ and globalK: the recipe makes ${Object.keys(batch.views).join(', ')}`);
  batch.release();
  return {
    globalQ: globalQ as Tensor4D,
    globalK: globalK as Tensor4D,
    ...(patchesQ && patchesK ? { patchesQ: patchesQ as Tensor5D, patchesK: patchesK as Tensor5D } : {}),
  };
}

/**
 * The update of a run: forward, backward, SGD and enqueue.
 *
 * What the device does is compiled once (`Engine.compile`); around it the host uploads a batch's views and what changes from
 * step to step, reads the losses back, and moves the queue pointer. The ShuffleBN permutations are keyed by (seed, step), so
 * an update depends on nothing but the state before it.
 */
export function createTrainStep({ engine, method, velocities, seed, momentum, weightDecay }: TrainStepOptions): TrainStep {
  const parameters = [...method.parameters.values()];

  const compute = engine.compile(({ learningRate, pointer, ...inputs }: StepInputs) =>
    tf.tidy(() => {
      const { loss, featureStd, terms, gradients, keys } = method.step(inputs, {
        global: { order: inputs.globalOrder, inverse: inputs.globalInverse },
        local: { order: inputs.localOrder, inverse: inputs.localInverse },
      });
      engine.sgd(parameters, gradients, velocities, { learningRate, momentum, weightDecay });
      method.enqueue(keys, pointer);
      // One tensor to read back, so the device is waited for once.
      return { report: tf.stack([loss, featureStd, ...method.termNames.map((name) => terms[name] as Scalar)]) };
    }),
  );

  const inputsOf = (views: StagedViews, { step, learningRate }: StepSettings): StepInputs => {
    const [global, local] = [GLOBAL_STREAM, LOCAL_STREAM].map((stream) =>
      permutation(new Random(seed, stream, step).permutation(views.globalQ.shape[0])),
    ) as [ReturnType<typeof permutation>, ReturnType<typeof permutation>];
    return {
      ...views,
      globalOrder: global.order,
      globalInverse: global.inverse,
      localOrder: local.order,
      localInverse: local.inverse,
      learningRate: tf.scalar(learningRate),
      pointer: tf.scalar(method.queuePointer, 'int32'),
    };
  };

  return {
    stage: (batch) => tf.tidy(() => upload(engine, batch)),

    async run(views, settings) {
      const size = views.globalQ.shape[0];
      const { report } = tf.tidy(() => compute(inputsOf(views, settings)));
      tf.dispose(Object.values(views));
      method.advance(size);
      const [loss = NaN, featureStd = NaN, ...terms] = await report.data();
      report.dispose();
      return { loss, featureStd, terms: Object.fromEntries(method.termNames.map((name, index) => [name, terms[index] ?? NaN])) };
    },
  };
}

/** What is not a finite number in the result of a step, `loss` last; undefined when all is well. */
export function nonFiniteTerm({ loss, terms }: StepResult): string | undefined {
  const term = Object.entries(terms).find(([, value]) => !Number.isFinite(value));
  return term?.[0] ?? (Number.isFinite(loss) ? undefined : 'loss');
}
