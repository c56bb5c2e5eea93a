/** The kNN evaluation of a run: training images vote on validation images. */
import type { Engine } from '../engine/engine.js';
import { given } from '../common/options.js';
import { EvaluationImages, evaluateKnn, IMAGE_OPTIONS } from '../eval/index.js';
import type { Method } from '../model/index.js';
import type { Beginning } from './beginning.js';
import type { SampleOptions } from './data-options.js';
import { explainSpecs } from './shard-specs.js';

interface EvaluationParts {
  readonly engine: Engine;
  readonly method: Pick<Method, 'backbone'>;
  readonly samples: SampleOptions;
  readonly signal: AbortSignal | undefined;
}

/** @returns top-1 by stage; awaits `pause` between blocks of images */
export function knnEvaluation(beginning: Beginning, valShards: readonly string[], { engine, method, samples, signal }: EvaluationParts) {
  const { path, config, specs } = beginning;
  const { folders } = specs;
  const { knn, recipe, batch, checkShards } = config;
  const rest = { ...given(config, IMAGE_OPTIONS), globalSize: recipe.globalSize, batch, ...samples };
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
  const options = {
    engine,
    backbone: method.backbone,
    bank,
    queries,
    ...given(knn, ['temperature', 'k']),
    ...(signal && { signal }),
  };
  return (pause: () => Promise<void>) => evaluateKnn({ ...options, pause }).catch(explainSpecs(path, specs, 'valShards'));
}
