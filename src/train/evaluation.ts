/** The evaluations of a run: training images vote on validation images, and tell how many dimensions features use. */
import type { Engine } from '../engine/engine.js';
import { given } from '../common/options.js';
import {
  anyImage,
  EvaluationImages,
  extractFeatures,
  featureRank,
  IMAGE_OPTIONS,
  type LabelledFeatures,
  oneClass,
  vote,
} from '../eval/index.js';
import { LAST_STAGE, type Method } from '../model/index.js';
import type { Beginning } from './beginning.js';
import type { SampleOptions } from './data-options.js';
import type { EvaluationResult } from './run-directory.js';
import { explainSpecs } from './shard-specs.js';

interface EvaluationParts {
  readonly engine: Engine;
  readonly method: Pick<Method, 'backbone'>;
  readonly samples: SampleOptions;
  readonly signal: AbortSignal | undefined;
}

/**
 * @returns what evaluates the backbone as it is then, and awaits `pause` between blocks of images; it throws when kNN has no labelled image.
 *   Undefined where nothing is asked for, or kNN alone and there are no validation shards
 */
export function runEvaluation(
  { path, config, specs }: Beginning,
  { engine, method, samples, signal }: EvaluationParts,
): ((pause: () => Promise<void>) => Promise<EvaluationResult>) | undefined {
  const { evaluate: asked, knn, recipe, batch, checkShards } = config;
  const valShards = asked.includes('knn') ? config.valShards : undefined;
  const ranks = asked.includes('rank');
  if (!valShards && !ranks) return undefined;
  const { folders } = specs;
  const rest = { ...given(config, IMAGE_OPTIONS), globalSize: recipe.globalSize, batch, ...samples };
  // The training shards have been asked for.
  const bank = new EvaluationImages({
    ...rest,
    ...given(config, ['skipShards']),
    label: valShards ? oneClass : anyImage,
    shards: config.shards,
    cwd: folders.shards,
    checkShards: 'none',
    limit: knn.bank,
  });
  const queries =
    valShards &&
    new EvaluationImages({ ...rest, label: oneClass, shards: valShards, cwd: folders.valShards, checkShards, limit: knn.queries });

  const featuresOf = async (images: EvaluationImages, pause: () => Promise<void>): Promise<LabelledFeatures> => {
    const options = { engine, backbone: method.backbone, stages: [LAST_STAGE], pause, ...(signal && { signal }) };
    const found = (await extractFeatures(images, options))[LAST_STAGE];
    if (!found?.labels.length) throw new Error(`No labelled image in ${images.shards.join(', ')}: kNN needs KEY.cls members`);
    return found;
  };
  const evaluate = async (pause: () => Promise<void>): Promise<EvaluationResult> => {
    const voters = await featuresOf(bank, pause);
    const result: { -readonly [Name in keyof EvaluationResult]: EvaluationResult[Name] } = {};
    if (queries) {
      const found = await featuresOf(queries, pause);
      result.knnTop1 = (await vote(voters, found, voters.labels, { ...given(knn, ['temperature', 'k']), pause })).top(1, found.labels);
      result.knnTop1ByStage = { [LAST_STAGE]: result.knnTop1 };
    }
    if (ranks) {
      const { effectiveRank, deviation } = featureRank(voters);
      Object.assign(result, { effectiveRank, featureDeviation: deviation });
    }
    return result;
  };
  return (pause) => evaluate(pause).catch(explainSpecs(path, specs, 'valShards'));
}
