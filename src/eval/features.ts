/** Frozen features of images, stage by stage: all that an evaluation reads of an encoder. */
import { type Tensor2D, type Tensor4D, tidy } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import type { Backbone, Stage } from '../model/index.js';
import type { EvaluationImages } from './images.js';

/** [images, dimensions], row-major, as the backbone gives them: not normalised. */
export interface Features {
  readonly features: Float32Array;
  readonly dimensions: number;
}

export interface LabelledFeatures<Label = number> extends Features {
  readonly labels: readonly Label[];
}

export interface FeatureOptions {
  readonly engine: Engine;
  readonly backbone: Pick<Backbone, 'features'>;
  readonly stages: readonly Stage[];
  /** Ends the reading of images. */
  readonly signal?: AbortSignal;
  /** Awaited between blocks of images; what it throws ends the evaluation. */
  readonly pause?: () => Promise<void>;
  /** Called after each block with the images done, and how many there will be where that is known. */
  readonly onImages?: (done: number, expected: number | undefined) => void;
}

/**
 * Global-average-pooled features of the backbone in eval mode, without augmentation.
 *
 * The same images come in the same order each time, so results of two checkpoints compare.
 *
 * @returns by stage; the labels are the same list in each
 */
export async function extractFeatures<Label>(
  images: EvaluationImages<Label>,
  { engine, backbone, stages, signal, pause, onImages }: FeatureOptions,
): Promise<Record<string, LabelledFeatures<Label>>> {
  const rows = new Map<Stage, Float32Array[]>(stages.map((stage) => [stage, []]));
  const labels: Label[] = [];
  for await (const block of images.blocks(signal)) {
    await pause?.();
    signal?.throwIfAborted();
    const pooled = stageFeatures(engine, backbone, stages, block.pixels, block.shape);
    for (const stage of stages) {
      rows.get(stage)?.push((await pooled[stage].data()) as Float32Array);
      pooled[stage].dispose();
    }
    labels.push(...block.labels);
    onImages?.(labels.length, images.expected);
  }
  return Object.fromEntries(stages.map((stage) => [stage, { ...concatenate(rows.get(stage) ?? [], labels.length), labels }]));
}

/** Features of bytes [N, H, W, 3], each [N, C]; the caller's to dispose of. */
export function stageFeatures(
  engine: Engine,
  backbone: Pick<Backbone, 'features'>,
  stages: readonly Stage[],
  pixels: Uint8Array,
  shape: readonly number[],
): Record<Stage, Tensor2D> {
  return tidy(() => {
    const features = backbone.features(engine.upload(pixels, shape) as Tensor4D);
    return Object.fromEntries(stages.map((stage) => [stage, features[stage]])) as Record<Stage, Tensor2D>;
  });
}

function concatenate(blocks: readonly Float32Array[], rows: number): Features {
  const features = new Float32Array(blocks.reduce((length, block) => length + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    features.set(block, at);
    at += block.length;
  }
  return { features, dimensions: rows === 0 ? 0 : features.length / rows };
}
