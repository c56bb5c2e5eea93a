/** The kNN evaluation of a run: training images vote on validation images. */
import type { Engine } from '../engine/engine.js';
import { given } from '../common/options.js';
import { EvaluationImages, extractFeatures, IMAGE_OPTIONS, oneClass, vote } from '../eval/index.js';
import { LAST_STAGE, type Method, type Stage } from '../model/index.js';
import type { Beginning } from './beginning.js';
import type { SampleOptions } from './data-options.js';
import { explainSpecs } from './shard-specs.js';

interface EvaluationParts {
  readonly engine: Engine;
  readonly method: Pick<Method, 'backbone'>;
  readonly samples: SampleOptions;
  readonly signal: AbortSignal | undefined;
}

/** Stages whose features are evaluated. */
const EVALUATED: readonly Stage[] = [LAST_STAGE];

/**
 * @returns top-1 by stage; awaits `pause` between blocks of images
 * @throws when either set of shards has no labelled image
 */
export function knnEvaluation(beginning: Beginning, valShards: readonly string[], { engine, method, samples, signal }: EvaluationParts) {
  const { path, config, specs } = beginning;
  const { folders } = specs;
  const { knn, recipe, batch, checkShards } = config;
  const rest = { label: oneClass, ...given(config, IMAGE_OPTIONS), globalSize: recipe.globalSize, batch, ...samples };
  // The training shards have been asked for.
  const bank = new EvaluationImages({
    ...rest,
    ...given(config, ['skipShards']),
    shards: config.shards,
    cwd: folders.shards,
    checkShards: 'none',
    limit: knn.bank,
  });
  const queries = new EvaluationImages({ ...rest, shards: valShards, cwd: folders.valShards, checkShards, limit: knn.queries });
  const voting = given(knn, ['temperature', 'k']);
  const evaluate = async (pause: () => Promise<void>): Promise<Record<string, number>> => {
    const features = (images: EvaluationImages) =>
      extractFeatures(images, { engine, backbone: method.backbone, stages: EVALUATED, pause, ...(signal && { signal }) });
    const [from, to] = [await features(bank), await features(queries)];
    const top1: Record<string, number> = {};
    for (const stage of EVALUATED) {
      const [voters, asked] = [from[stage], to[stage]];
      for (const [images, found] of [
        [bank, voters],
        [queries, asked],
      ] as const)
        if (!found?.labels.length) throw new Error(`No labelled image in ${images.shards.join(', ')}: kNN needs KEY.cls members`);
      if (voters && asked) top1[stage] = (await vote(voters, asked, voters.labels, { ...voting, pause })).top(1, asked.labels);
    }
    return top1;
  };
  return (pause: () => Promise<void>) => evaluate(pause).catch(explainSpecs(path, specs, 'valShards'));
}
