/** `detco eval rank`: how many dimensions the features use. No label is needed. */
import { type EvaluationOptions, featuresOf, type Found, imagesOf } from './evaluation.js';
import { anyImage } from './labels.js';
import { featureRank, type RankResult } from './rank.js';

export async function evaluateRank(options: Omit<EvaluationOptions, 'valShards'>): Promise<Found<RankResult>> {
  const { shards, stages, onProgress, pause } = options;
  const given = { ...options, valShards: [] };
  const found = await featuresOf(imagesOf(given, shards, anyImage), 'images', 'no sample has an image', given);
  const results: Record<string, RankResult> = {};
  for (const [at, stage] of stages.entries()) {
    await pause?.();
    const features = found[stage];
    if (features) results[stage] = featureRank(features);
    onProgress?.({ work: 'ranks', done: at + 1, total: stages.length });
  }
  const images = found[stages[0] ?? '']?.labels.length ?? 0;
  return { images: { train: images, val: 0 }, classes: 0, settings: {}, stages: results, notes: [] };
}
