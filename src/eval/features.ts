/** Frozen features of labelled images, stage by stage: what kNN reads. */
import { matMul, tensor2d, tidy, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import type { Backbone, Stage } from '../model/index.js';
import type { EvaluationImages } from './images.js';
import { normalizeRows, type LabelledFeatures, type Similarities } from './knn.js';

export interface FeatureOptions {
  readonly engine: Engine;
  readonly backbone: Pick<Backbone, 'features'>;
  readonly stages: readonly Stage[];
  /** Ends the reading of images. */
  readonly signal?: AbortSignal;
  /** Awaited between blocks of images; what it throws ends the evaluation. */
  readonly pause?: () => Promise<void>;
}

/**
 * Global-average-pooled, L2-normalised features of the backbone in eval mode, without augmentation.
 *
 * The same images come in the same order each time, so results of two checkpoints compare.
 */
export async function extractFeatures(
  images: EvaluationImages,
  { engine, backbone, stages, signal, pause }: FeatureOptions,
): Promise<Record<string, LabelledFeatures>> {
  const rows = new Map<Stage, Float32Array[]>(stages.map((stage) => [stage, []]));
  const labels: number[] = [];
  for await (const block of images.blocks(signal)) {
    await pause?.();
    signal?.throwIfAborted();
    const pooled = tidy(() => {
      const features = backbone.features(engine.upload(block.pixels, block.shape) as Tensor4D);
      return Object.fromEntries(stages.map((stage) => [stage, features[stage]])) as Record<Stage, Tensor2D>;
    });
    for (const stage of stages) {
      const [, dimensions] = pooled[stage].shape;
      rows.get(stage)?.push(normalizeRows((await pooled[stage].data()) as Float32Array, dimensions));
      pooled[stage].dispose();
    }
    labels.push(...block.labels);
  }
  return Object.fromEntries(stages.map((stage) => [stage, { ...concatenate(rows.get(stage) ?? [], labels.length), labels }]));
}

function concatenate(blocks: readonly Float32Array[], rows: number): Pick<LabelledFeatures, 'features' | 'dimensions'> {
  const features = new Float32Array(blocks.reduce((length, block) => length + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    features.set(block, at);
    at += block.length;
  }
  return { features, dimensions: rows === 0 ? 0 : features.length / rows };
}

/** Cosines as one matrix product on the engine in use. */
export const engineSimilarities: Similarities = async (queries, bank, dimensions) => {
  const product = tidy(() => {
    const rows = (values: Float32Array) => tensor2d(values, [values.length / dimensions, dimensions]);
    return matMul(rows(queries), rows(bank), false, true);
  });
  const values = (await product.data()) as Float32Array;
  product.dispose();
  return values;
};
