/** What the features of an encoder are worth, without training anything on them. */
import { LAST_STAGE, type Stage } from '../model/index.js';
import { engineSimilarities, extractFeatures, type FeatureOptions } from './features.js';
import type { EvaluationImages } from './images.js';
import { knnTop1, type KnnOptions, type Similarities } from './knn.js';

export { EvaluationImages, IMAGE_OPTIONS, type ImageOptions } from './images.js';

export interface EvaluateKnnOptions extends Omit<FeatureOptions, 'stages'>, KnnOptions {
  /** Images that vote. */
  readonly bank: EvaluationImages;
  /** Images that are classified. */
  readonly queries: EvaluationImages;
  /** Stages whose features are tried. Default the last alone. */
  readonly stages?: readonly Stage[];
}

/**
 * kNN top-1 accuracy of the backbone, [0, 1], by stage.
 *
 * @throws when either set of shards has no labelled image
 */
export async function evaluateKnn(options: EvaluateKnnOptions): Promise<Record<string, number>> {
  const { stages = [LAST_STAGE] } = options;
  const labelled = async (images: EvaluationImages) => {
    const features = await extractFeatures(images, { ...options, stages });
    if (Object.values(features).some(({ labels }) => labels.length === 0))
      throw new Error(`No labelled image in ${images.shards.join(', ')}: kNN needs KEY.cls members`);
    return features;
  };
  const similarities: Similarities = async (...block) => {
    await options.pause?.();
    return engineSimilarities(...block);
  };
  const bank = await labelled(options.bank);
  const queries = await labelled(options.queries);
  const result: Record<string, number> = {};
  for (const stage of stages) {
    const [from, to] = [bank[stage], queries[stage]];
    if (from && to) result[stage] = await knnTop1(from, to, similarities, options);
  }
  return result;
}
