/** The linear probe as papers have it: every epoch augments the images anew, and the backbone stays as it is. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import type { Backbone, Stage } from '../model/index.js';
import { type Batch, createPipeline, type PipelineOptions, recipes } from '../pipeline/index.js';
import { stageFeatures } from './features.js';
import type { ReadLabel } from './labels.js';
import { type FitOptions, guessAll, type LinearFit } from './linear-cached.js';
import { LinearProbe, NO_CLASS } from './linear-probe.js';
import { type LinearPlan, rateAt } from './linear-protocols.js';

export interface AugmentedOptions extends FitOptions {
  readonly engine: Engine;
  readonly backbone: Pick<Backbone, 'features' | 'channels'>;
  readonly stages: readonly Stage[];
  /** How the training shards are read. */
  readonly reading: Omit<PipelineOptions, 'recipe' | 'batchSize' | 'seed' | 'epochs' | 'dropLast'>;
  /** Gives classes of the plan. */
  readonly label: ReadLabel<number>;
  /** Side of a crop, pixels. */
  readonly globalSize: number;
  /** Learning rate at batch 256; the protocol's own by default. */
  readonly rate?: number;
}

/** Images that go through the backbone at once: of a ResNet-50 at 224 pixels they take some 2 GB. */
const BLOCK = 64;

/**
 * Trains a probe on each stage, all on the same images: RandomResizedCrop of 8 % to all of the area and a flip, as torchvision has them.
 *
 * @returns by stage; the probes are the caller's to dispose of
 */
export async function fitAugmented(plan: LinearPlan, options: AugmentedOptions): Promise<Record<string, LinearFit & Disposable>> {
  const { engine, backbone, stages, reading, globalSize, label, pause, onShare, rate = plan.protocol.rate } = options;
  const probes = new Map(stages.map((stage) => [stage, new LinearProbe(engine, backbone.channels[stage], plan.classes, [1])]));
  const sums = new Map(stages.map((stage) => [stage, { epoch: -1, loss: 0, steps: 0 }]));
  try {
    await using pipeline = await createPipeline({
      ...reading,
      recipe: recipes.linear({ globalSize }),
      batchSize: plan.batch,
      epochs: plan.epochs,
      seed: plan.seed,
      dropLast: false,
    });
    for await (const batch of pipeline) {
      await pause?.();
      const classes = labelsOf(batch, label, plan);
      const features = await featuresOf(batch, options);
      for (const stage of stages) {
        const probe = probes.get(stage);
        const sum = sums.get(stage);
        if (!probe || !sum) continue;
        const loss = tf.tidy(() =>
          probe.step(padded(features[stage], plan.batch), tf.tensor1d(classes, 'int32'), rateAt(plan, rate, batch.epoch)),
        );
        if (sum.epoch < batch.epoch) Object.assign(sum, { epoch: batch.epoch, loss: 0, steps: 0 });
        sum.loss += (await loss.data())[0] ?? Number.NaN;
        sum.steps++;
        loss.dispose();
        features[stage].dispose();
      }
      onShare?.(shareDone(batch, plan.epochs));
    }
    return Object.fromEntries(
      [...probes].map(([stage, probe]) => {
        const { loss, steps } = sums.get(stage) ?? { loss: 0, steps: 0 };
        return [
          stage,
          {
            rate,
            loss: loss / steps,
            guess: (given) => guessAll(probe, given, plan.classes),
            [Symbol.dispose]: () => probe[Symbol.dispose](),
          },
        ];
      }),
    );
  } catch (error) {
    for (const probe of probes.values()) probe[Symbol.dispose]();
    throw error;
  }
}

/** By the epochs done and, past the first, by the steps that one takes. */
function shareDone({ epoch, step, state: { epochStart } }: Batch, epochs: number): number {
  const perEpoch = epoch === 0 ? undefined : epochStart / epoch;
  return Math.min(1, (perEpoch === undefined ? epoch : (step + 1) / perEpoch) / epochs);
}

function labelsOf({ samples }: Batch, label: ReadLabel<number>, { batch }: LinearPlan): number[] {
  return Array.from({ length: batch }, (_, row) => {
    const sample = samples[row];
    return (sample && label(sample)) ?? NO_CLASS;
  });
}

/** Of a batch, which is released. */
async function featuresOf(batch: Batch, { engine, backbone, stages, pause }: AugmentedOptions): Promise<Record<Stage, Tensor2D>> {
  const view = batch.views['image'];
  if (view === undefined) throw new Error('the linear recipe made no view "image"');
  const [images = 0, ...shape] = view.shape;
  const size = view.data.length / images;
  const blocks: Record<Stage, Tensor2D>[] = [];
  for (let first = 0; first < images; first += BLOCK) {
    if (first > 0) await pause?.();
    const rows = Math.min(BLOCK, images - first);
    blocks.push(stageFeatures(engine, backbone, stages, view.data.subarray(first * size, (first + rows) * size), [rows, ...shape]));
  }
  batch.release();
  return Object.fromEntries(
    stages.map((stage) => {
      const parts = blocks.map((block) => block[stage]);
      const whole = parts.length === 1 && parts[0] ? parts[0] : tf.concat(parts);
      if (parts.length > 1) tf.dispose(parts);
      return [stage, whole];
    }),
  ) as Record<Stage, Tensor2D>;
}

/** With rows of zeros up to a whole batch. */
function padded(features: Tensor2D, batch: number): Tensor2D {
  const lacking = batch - features.shape[0];
  return lacking === 0
    ? features
    : tf.pad(features, [
        [0, lacking],
        [0, 0],
      ]);
}
