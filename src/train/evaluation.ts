/**
 * The evaluations of a run: training images vote on validation images, and tell how many dimensions features use; the probe that learns with
 * the run classifies the validation images.
 */
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
  type OnlineProbe,
  vote,
} from '../eval/index.js';
import { LAST_STAGE, type Method, type Stage } from '../model/index.js';
import type { Beginning } from './beginning.js';
import type { SampleOptions } from './data-options.js';
import type { EvaluationShares } from './evaluation-shares.js';
import type { EvaluationResult } from './metrics.js';
import { explainSpecs } from './shard-specs.js';

interface EvaluationParts {
  readonly engine: Engine;
  readonly method: Pick<Method, 'backbone' | 'featureStage'>;
  readonly probe: OnlineProbe | undefined;
  readonly samples: SampleOptions;
  readonly signal: AbortSignal | undefined;
  readonly shares: EvaluationShares;
}

/**
 * @returns what evaluates the backbone as it is then, and awaits `pause` between blocks of images; it throws when an image it needs has no
 *   label. Undefined where nothing is asked for, or labels alone and there are no validation shards
 */
export function runEvaluation(
  { path, config, specs }: Beginning,
  { engine, method, probe, samples, signal, shares }: EvaluationParts,
): ((pause: () => Promise<void>) => Promise<EvaluationResult>) | undefined {
  const { evaluate: asked, knn, recipe, batch, checkShards } = config;
  const votes = asked.includes('knn') && config.valShards !== undefined;
  const valShards = votes || probe ? config.valShards : undefined;
  const ranks = asked.includes('rank');
  if (!valShards && !ranks) return undefined;
  const { folders } = specs;
  const share = shares.own && { share: shares.own, workers: config.workers ?? shares.own.cores };
  const rest = { ...given(config, IMAGE_OPTIONS), globalSize: recipe.globalSize, batch, ...samples, ...share };
  // The training shards have been asked for.
  const bank = new EvaluationImages({
    ...rest,
    ...given(config, ['skipShards']),
    label: votes ? oneClass : anyImage,
    shards: config.shards,
    cwd: folders.shards,
    checkShards: 'none',
    limit: knn.bank,
  });
  const queries =
    valShards &&
    new EvaluationImages({ ...rest, label: oneClass, shards: valShards, cwd: folders.valShards, checkShards, limit: knn.queries });

  const featuresOf = async (
    images: EvaluationImages,
    stages: readonly Stage[],
    pause: () => Promise<void>,
  ): Promise<LabelledFeatures[]> => {
    const options = { engine, backbone: method.backbone, stages: [...new Set(stages)], pause, ...(signal && { signal }) };
    const found = await extractFeatures(images, options);
    const all = stages.map((stage) => found[stage] as LabelledFeatures);
    if ((await shares.total(all[0]?.labels.length ?? 0)) === 0)
      throw new Error(`No labelled image in ${images.shards.join(', ')}: expected KEY.cls members`);
    return all;
  };
  const evaluate = async (pause: () => Promise<void>): Promise<EvaluationResult> => {
    // The probe alone, before it has seen a label, has nothing to tell.
    if (!votes && !ranks && !probe?.begun) return {};
    const [own] = votes || ranks ? await featuresOf(bank, [LAST_STAGE], pause) : [];
    const voters = own && (await shares.gathered(own));
    const [queried, probed] = (queries && (await featuresOf(queries, [LAST_STAGE, method.featureStage], pause))) ?? [];
    const result: { -readonly [Name in keyof EvaluationResult]: EvaluationResult[Name] } = {};
    if (votes && voters && queried) {
      const options = { ...given(knn, ['temperature', 'k']), pause };
      result.knnTop1 = await shares.mean(queried.labels.length, async () =>
        (await vote(voters, queried, voters.labels, options)).top(1, queried.labels),
      );
      result.knnTop1ByStage = { [LAST_STAGE]: result.knnTop1 };
    }
    if (probed && probe?.begun)
      result.probeTop1 = await shares.mean(probed.labels.length, async () => (await probe.top1(probed)) ?? Number.NaN);
    if (ranks && voters && !shares.own?.rank) {
      const { effectiveRank, deviation } = featureRank(voters);
      Object.assign(result, { effectiveRank, featureDeviation: deviation });
    }
    return result;
  };
  return (pause) => evaluate(pause).catch(explainSpecs(path, specs, 'valShards'));
}
