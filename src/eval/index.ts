/** What the features of an encoder are worth, without training anything on them. */
import type { Stage } from '../model/index.js';
import { engineSimilarities, extractFeatures, type FeatureOptions } from './features.js';
import { knnTop1, type KnnOptions } from './knn.js';

export { extractFeatures, type FeatureOptions } from './features.js';
export { knnTop1, type KnnOptions, type LabelledFeatures } from './knn.js';

export interface EvaluateKnnOptions extends Omit<FeatureOptions, 'shards' | 'limit' | 'stages'>, KnnOptions {
  /** Labelled shards whose images vote. */
  readonly bankShards: readonly string[];
  /** Labelled shards whose images are classified. */
  readonly queryShards: readonly string[];
  /** Images of each, at most. */
  readonly bankLimit: number;
  readonly queryLimit: number;
  /** Stages whose features are tried. Default res5 alone. */
  readonly stages?: readonly Stage[];
}

/**
 * kNN top-1 accuracy of the query encoder, [0, 1], by stage.
 *
 * @throws when either set of shards has no labelled image
 */
export async function evaluateKnn(options: EvaluateKnnOptions): Promise<Record<string, number>> {
  const { bankShards, queryShards, bankLimit, queryLimit, stages = ['res5'] } = options;
  const bank = await extractFeatures({ ...options, shards: bankShards, limit: bankLimit, stages });
  const queries = await extractFeatures({ ...options, shards: queryShards, limit: queryLimit, stages });
  const result: Record<string, number> = {};
  for (const stage of stages) {
    const [from, to] = [bank[stage], queries[stage]];
    if (from === undefined || from.labels.length === 0)
      throw new Error(`No labelled image in ${bankShards.join(', ')}: kNN needs KEY.cls members`);
    if (to === undefined || to.labels.length === 0)
      throw new Error(`No labelled image in ${queryShards.join(', ')}: kNN needs KEY.cls members`);
    result[stage] = await knnTop1(from, to, engineSimilarities, options);
  }
  return result;
}
