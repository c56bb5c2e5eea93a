/** One update of a contrastive method: a batch in, a loss out. The only place where bytes become tensors. */
import {
  dispose,
  stack,
  tidy,
  type Scalar,
  type Tensor,
  type Tensor4D,
  type Tensor5D,
  type TensorContainer,
  type Variable,
} from '@tensorflow/tfjs-core';
import { augmentOnDevice } from './device-augment.js';
import type { Engine, SgdOptions } from '../engine/engine.js';
import type { ContrastiveMethod } from '../model/index.js';
import type { Batch } from '../pipeline/batch/batch.js';
import { Random, streamId } from '../pipeline/plan/random.js';

export interface StepResult {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly featureStd: number;
}

const GLOBAL_STREAM = streamId('shuffleBN.global');
const LOCAL_STREAM = streamId('shuffleBN.local');

/** Uploads the views of `batch` and gives its slot back to the workers, which fill it while the device computes. */
function upload(engine: Engine, batch: Batch) {
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
 * Forward, backward, SGD and enqueue.
 *
 * The ShuffleBN permutations are keyed by (seed, step), so an update depends on nothing but the state before it.
 *
 * @param step updates done before this one
 */
export async function trainStep(
  { engine, method, velocities }: { readonly engine: Engine; readonly method: ContrastiveMethod; readonly velocities: readonly Variable[] },
  batch: Batch,
  { step, seed, sgd }: { readonly step: number; readonly seed: number; readonly sgd: SgdOptions },
): Promise<StepResult> {
  const permutations = {
    global: new Random(seed, GLOBAL_STREAM, step).permutation(batch.size),
    local: new Random(seed, LOCAL_STREAM, step).permutation(batch.size),
  };
  let names: readonly string[] = [];
  // One tensor to read back, so the device is waited for once.
  const report = tidy(() => {
    const result = method.step(upload(engine, batch), permutations);
    const { loss, terms, gradients, keys, featureStd } = result;
    engine.sgd([...method.parameters.values()], gradients, velocities, sgd);
    method.enqueue(keys);
    names = Object.keys(terms);
    const values = stack<Scalar>([loss, featureStd, ...Object.values(terms)]);
    dispose(result as unknown as TensorContainer);
    return values;
  });
  const [loss = NaN, featureStd = NaN, ...terms] = await report.data();
  report.dispose();
  return { loss, featureStd, terms: Object.fromEntries(names.map((name, index) => [name, terms[index] ?? NaN])) };
}

/** What is not a finite number in the result of a step, `loss` last; undefined when all is well. */
export function nonFiniteTerm({ loss, terms }: StepResult): string | undefined {
  const term = Object.entries(terms).find(([, value]) => !Number.isFinite(value));
  return term?.[0] ?? (Number.isFinite(loss) ? undefined : 'loss');
}
