/** The data of a run, opened where the run stands: the pipeline, and its first batch. */
import { rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { given } from '../common/options.js';
import { methodKind } from '../model/index.js';
import { type BadSample, createPipeline, type Pipeline } from '../pipeline/index.js';
import { BadSamples } from '../pipeline/bad-samples.js';
import type { Batch } from '../pipeline/batch/batch.js';
import { RUN_OPTIONS } from '../pipeline/run-options.js';
import type { Company } from '../engine/company.js';
import { BadBudget } from './bad-budget.js';
import type { Beginning } from './beginning.js';
import type { TrainConfig } from './config-schema.js';
import { StopAgreed } from './agreement.js';
import { coresFor } from './cores.js';
import { makeIndex } from './make-index.js';
import { assertMadeWith, configDigest } from './loss-options.js';
import { DataError } from './data-error.js';
import { asOptionsError, type SampleOptions, sampleOptions, sayProgress, sayRewritten, waitingFor, warnOnce } from './data-options.js';
import type { TrainHooks } from './hooks.js';
import { trainingRecipe } from './training-recipe.js';
import { comparedInWords } from './run-shards.js';
import { explainSpecs } from './shard-specs.js';

/** Folder of a run's own shard indexes. */
const INDEX = 'index';

export interface TrainingData extends AsyncDisposable {
  readonly pipeline: Pipeline;
  /** Those of the pipeline, the first of which is there. */
  readonly batches: AsyncIterable<Batch>;
  readonly samples: SampleOptions;
  readonly indexDir: string;
  /** Where several ranks share the data. */
  readonly badBudget?: BadBudget;
  /** Of every option that the loss sequence depends on, and the shards. */
  readonly digest: string;
  /** Those of the run, with what its method takes from the data. */
  readonly config: TrainConfig;
}

export interface DataListeners {
  /** Notes a sample that was skipped, or left out. */
  readonly record: (lost: object) => unknown;
  readonly hooks: TrainHooks;
  readonly signal: AbortSignal | undefined;
  /** Of labels that are names. */
  readonly classNames: readonly string[] | undefined;
  /** The ranks that share the data. */
  readonly company: Company | undefined;
}

/**
 * Opens the training shards, after the batches that the run has had, and waits for the first batch: data that cannot be read leaves nothing
 * behind.
 *
 * @throws OptionsError where the options, or the shards, are not those of the run; Error where the data cannot be read, with what to do
 */
export async function openData(beginning: Beginning, listeners: DataListeners): Promise<TrainingData> {
  const { path, config, past } = beginning;
  const { hooks, record, signal, company, classNames } = listeners;
  const samples = sampleOptions(config, classNames, hooks, record);
  // One that is there already may be of other runs.
  const makesIndex = past === undefined && config.indexDir === undefined && !(await exists(join(path, INDEX)));
  const indexDir = config.indexDir ?? join(path, INDEX);
  const numbered = methodKind(config.method.name).forImages !== undefined;
  if (config.divide === 'samples' || numbered) {
    const user = config.divide === 'samples' ? 'ranks' : `images of method ${config.method.name}`;
    const index = () => makeIndex(beginning, { dir: indexDir, user, fields: samples, hooks, signal });
    await (company ? afterFirst(company, index, signal) : index());
  }
  const badSamples = new BadSamples(config.maxBadSamples);
  const onBad = (bad: BadSample): void => {
    badSamples.add(bad);
    record(bad);
  };
  const pipeline = await openPipeline(beginning, listeners, { samples, indexDir, numbered, onBad });
  try {
    if (config.skipShards) hooks.onInfo?.(`leaves out ${config.skipShards.join(', ')} of ${pipeline.shards.length} shards`);
    if (pipeline.compared) hooks.onInfo?.(comparedInWords(pipeline.compared));
    else if (past) hooks.onWarning?.(`${path} has no shards.json: whether the data are those of the run is not known`);
    const suited = { ...config, method: forImages(config, pipeline) };
    const digest = digestOf({ ...beginning, config: suited }, pipeline);
    hooks.onWork?.('waiting for the first images');
    const batches = await started(pipeline).catch(async (error: unknown) => {
      if (makesIndex && !company?.rank) await removeIndex(path);
      throw explained(error, beginning, pipeline, listeners.signal);
    });
    const badBudget = company && new BadBudget(badSamples, { shards: pipeline.shards, run: path });
    const data = { pipeline, batches, samples, indexDir, digest, config: suited, ...(badBudget && { badBudget }) };
    return { ...data, [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose]() };
  } catch (error) {
    await pipeline[Symbol.asyncDispose]();
    throw error;
  }
}

/** The method's options, for as many images as there are. @throws OptionsError for more than it can keep something for */
function forImages({ method }: TrainConfig, { samples }: Pipeline): TrainConfig['method'] {
  const kind = methodKind(method.name);
  if (kind.forImages === undefined || samples === undefined) return method;
  try {
    return kind.forImages(method, samples);
  } catch (error) {
    return asOptionsError(error);
  }
}

/** @throws OptionsError for a checkpoint that was made with other options */
function digestOf({ path, config, past }: Beginning, { shards }: Pipeline): string {
  const checkpoint = past?.checkpoint;
  if (checkpoint) assertMadeWith(config, shards, { path, checkpoint: checkpoint.path, state: checkpoint.state });
  return configDigest(config, shards);
}

/** Why there is no first batch. */
function explained(error: unknown, { path, past }: Beginning, { shards }: Pipeline, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted && error === signal.reason) return error;
  if (error instanceof RangeError) asOptionsError(error);
  const failure = new DataError(error, { shards, run: past && path });
  return new Error([failure.message, failure.remedy].filter(Boolean).join('; '), { cause: error });
}

/** The pipeline of the training shards, after the batches that the run has had. */
async function openPipeline(
  { path, config, specs, past }: Beginning,
  { hooks, signal, company }: DataListeners,
  {
    samples,
    indexDir,
    numbered,
    onBad,
  }: Pick<TrainingData, 'samples' | 'indexDir'> & { readonly numbered: boolean; readonly onBad: (bad: BadSample) => void },
): Promise<Pipeline> {
  const state = past?.checkpoint?.state;
  hooks.onWork?.(waitingFor(config.shards));
  return createPipeline({
    ...given(config, RUN_OPTIONS),
    shards: config.shards,
    cwd: specs.folders.shards,
    onAnswer: sayProgress(hooks),
    ...(past?.shards && { expect: past.shards }),
    onRewritten: sayRewritten(hooks),
    recipe: trainingRecipe(config),
    batchSize: config.batch / (company?.size ?? 1),
    ...(company && shareOf(company, config)),
    epochs: config.epochs,
    onBad,
    ...samples,
    onCache: warnOnce(hooks),
    indexDir,
    ordinals: numbered,
    ...(state?.pipeline === undefined ? {} : { resume: state.pipeline }),
    // Ranks stop between updates, when all have heard of it.
    ...(signal === undefined || company ? {} : { signal }),
  })
    .catch(explainSpecs(path, specs, 'shards'))
    .catch((error: unknown) => asOptionsError(error, past && `${path} cannot go on`));
}

/** Rank 0 does it, while the others wait. @throws StopAgreed, on all, where it was stopped in it */
async function afterFirst(company: Company, work: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const stopped = (error: unknown): true => {
    if (signal?.aborted && error === signal.reason) return true;
    throw error;
  };
  const [first] = await company.exchange(company.rank === 0 ? await work().then(() => false, stopped) : undefined);
  if (first) throw new StopAgreed();
}

/** What of the data, and of the machine's cores, is for a rank. */
function shareOf(company: Company, { lanes, workers }: TrainConfig) {
  const { rank, size } = company;
  return { rank, worldSize: size, workers: workers ?? Math.min(coresFor(company), lanes / size) };
}

/** Begins to iterate: resolves once the first value, or the end, is there. */
async function started<T>(source: AsyncIterable<T>): Promise<AsyncIterable<T>> {
  const iterator = source[Symbol.asyncIterator]();
  let next = await iterator.next();
  return (async function* () {
    try {
      for (; !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Takes away what a pipeline that gave no batch has left in the folder of a run that is not made yet. */
async function removeIndex(path: string): Promise<void> {
  await rm(join(path, INDEX), { recursive: true, force: true });
  // Only when nothing else is in it.
  await rmdir(path).catch(() => undefined);
}
