/** Frozen features of labelled shards, stage by stage: what kNN reads. */
import { matMul, tensor2d, tidy, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import type { ContrastiveMethod, Stage } from '../model/index.js';
import { createPipeline, type PipelineOptions, recipes } from '../pipeline/index.js';
import { normalizeRows, type LabelledFeatures, type Similarities } from './knn.js';

export interface FeatureOptions extends Pick<PipelineOptions, 'cacheDir' | 'cacheSize'> {
  readonly engine: Engine;
  readonly method: Pick<ContrastiveMethod, 'features'>;
  /** Shard specs; samples without a label are passed over. */
  readonly shards: readonly string[];
  /** Side of the centre crop, pixels. */
  readonly globalSize: number;
  /** Images to take at most, chosen by the shuffle of a fixed seed. */
  readonly limit: number;
  readonly stages: readonly Stage[];
  /** Images a forward. */
  readonly batch: number;
  readonly workers?: number;
  readonly signal?: AbortSignal;
}

/**
 * Global-average-pooled, L2-normalised features of the query encoder in eval mode, without augmentation.
 *
 * The same shards and limit give the same images in the same order, so results of two checkpoints compare.
 */
export async function extractFeatures(options: FeatureOptions): Promise<Record<string, LabelledFeatures>> {
  const { engine, method, stages, limit, cacheDir, cacheSize, workers, signal } = options;
  const rows = new Map<Stage, Float32Array[]>(stages.map((stage) => [stage, []]));
  const labels: number[] = [];
  await using pipeline = await createPipeline({
    shards: options.shards,
    recipe: recipes.evaluation({ globalSize: options.globalSize }),
    batchSize: options.batch,
    dropLast: false,
    slots: 2,
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(cacheSize === undefined ? {} : { cacheSize }),
    ...(workers === undefined ? {} : { workers }),
    ...(signal === undefined ? {} : { signal }),
  });
  for await (const batch of pipeline) {
    const view = batch.views['image'];
    if (view === undefined) throw new Error('The evaluation recipe made no view "image"');
    const known = batch.samples.flatMap(({ label }, row) => (label === undefined ? [] : [{ label, row }])).slice(0, limit - labels.length);
    if (known.length > 0) {
      const pooled = tidy(() => {
        const images = engine.upload(view.data, view.shape) as Tensor4D;
        const features = method.features(images);
        return Object.fromEntries(stages.map((stage) => [stage, features[stage]])) as Record<Stage, Tensor2D>;
      });
      batch.release();
      for (const stage of stages) {
        const [, dimensions] = pooled[stage].shape;
        const values = normalizeRows((await pooled[stage].data()) as Float32Array, dimensions);
        for (const { row } of known) rows.get(stage)?.push(values.slice(row * dimensions, (row + 1) * dimensions));
        pooled[stage].dispose();
      }
      for (const { label } of known) labels.push(label);
    }
    if (labels.length >= limit) break;
  }
  return Object.fromEntries(stages.map((stage) => [stage, { ...concatenate(rows.get(stage) ?? []), labels }]));
}

function concatenate(rows: readonly Float32Array[]): Pick<LabelledFeatures, 'features' | 'dimensions'> {
  const dimensions = rows[0]?.length ?? 0;
  const features = new Float32Array(rows.length * dimensions);
  for (const [index, row] of rows.entries()) features.set(row, index * dimensions);
  return { features, dimensions };
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
