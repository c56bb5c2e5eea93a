/** The kNN evaluation of a run: training images vote on validation images. */
import type { Engine } from '../engine/engine.js';
import { EvaluationImages, evaluateKnn } from '../eval/index.js';
import type { Method } from '../model/index.js';
import type { Beginning } from './beginning.js';
import { readingOptions, type SampleOptions, skipOptions } from './data-options.js';
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
  const { knn, recipe, batch, workers, checkShards } = config;
  const { globalSize } = recipe;
  const rest = { globalSize, batch, ...samples, ...readingOptions(config), ...(workers === undefined ? {} : { workers }) };
  // The training shards have been asked for.
  const bank = new EvaluationImages({
    ...rest,
    ...skipOptions(config),
    shards: config.shards,
    cwd: folders.shards,
    checkShards: 'none',
    limit: knn.bank,
  });
  const queries = new EvaluationImages({ ...rest, shards: valShards, cwd: folders.valShards, checkShards, limit: knn.queries });
  const { temperature, k } = knn;
  const options = {
    engine,
    backbone: method.backbone,
    bank,
    queries,
    temperature,
    ...(k === undefined ? {} : { k }),
    ...(signal && { signal }),
  };
  return (pause: () => Promise<void>) => evaluateKnn({ ...options, pause }).catch(explainSpecs(path, specs, 'valShards'));
}
