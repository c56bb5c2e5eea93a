/** Puts a run together from its options, runs it, and takes it apart again. */
import { readFileSync } from 'node:fs';
import { rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { version_core as tensorflowVersion } from '@tensorflow/tfjs-core';
import { selectEngine } from '../engine/index.js';
import { methodKind } from '../model/index.js';
import { createPipeline, type Pipeline } from '../pipeline/index.js';
import { optionName } from './flags.js';
import { listShards } from '../pipeline/source/index.js';
import { type Measured, ProfileRecorder } from '../pipeline/profile/record.js';
import { begin, type Beginning, type RunFacts, type TrainOptions } from './beginning.js';
import { configDigest, OptionsError, trainingRecipe, type TrainConfig } from './config.js';
import { DataError, withDataErrors } from './data-error.js';
import {
  asOptionsError,
  readingOptions,
  type SampleOptions,
  sampleOptions,
  sayProgress,
  sayRewritten,
  skipOptions,
  waitingFor,
  warnOnce,
} from './data-options.js';
import { knnEvaluation } from './evaluation.js';
import { estimateImages } from './extent.js';
import { trainLoop, type LoopEnd, type LoopStart, type TrainHooks, type TrainRequests } from './loop.js';
import { assertStateFits } from './memory.js';
import { createOptimizer } from './optimizer/index.js';
import { Outlook } from './outlook.js';
import { RunDirectory, type EvaluationMetrics } from './run-directory.js';
import { comparedInWords, RunShards } from './run-shards.js';
import { explainSpecs, withoutLogins } from './shard-specs.js';
import { restoreTensors } from './tensors.js';

export interface TrainControls extends TrainHooks, TrainRequests {
  /** Records whether updates wait for data, and by what; `profileReport` makes a report of the result's `profile`. */
  readonly profile?: boolean;
}

export interface TrainResult extends Omit<LoopEnd, 'freeRate'> {
  /** The run's folder. */
  readonly run: string;
  readonly engine: string;
  /** Evaluations made by this call, in order. */
  readonly evaluations: readonly EvaluationMetrics[];
  readonly seconds: number;
  /** When it was asked for and more than one update was made. */
  readonly profile?: Measured;
}

/** Folder of a run's own shard indexes. */
const INDEX = 'index';

function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return { detco: version, node: process.versions.node, tensorflowjs: tensorflowVersion };
}

interface PipelineParts {
  readonly samples: SampleOptions;
  readonly indexDir: string;
  /** Notes a sample that was skipped. */
  readonly record: (lost: object) => unknown;
  readonly hooks: TrainHooks;
  readonly signal: AbortSignal | undefined;
}

/** The pipeline of the training shards, after the batches that the run has had. */
async function openPipeline(
  { path, config, specs, past }: Beginning,
  { samples, indexDir, record, hooks, signal }: PipelineParts,
): Promise<Pipeline> {
  const state = past?.checkpoint?.state;
  hooks.onWork?.(waitingFor(config.shards));
  return createPipeline({
    shards: config.shards,
    cwd: specs.folders.shards,
    ...skipOptions(config),
    checkShards: config.checkShards,
    onAnswer: sayProgress(hooks),
    ...(past?.shards && { expect: past.shards }),
    onRewritten: sayRewritten(hooks),
    recipe: trainingRecipe(config),
    batchSize: config.batch,
    seed: config.seed,
    epochs: config.epochs,
    lanes: config.lanes,
    shuffle: config.shuffle,
    augment: config.augment,
    onBadSample: config.onBadSample,
    maxBadSamples: config.maxBadSamples,
    onBad: record,
    ...samples,
    onCache: warnOnce(hooks),
    indexDir,
    ...readingOptions(config),
    ...(config.decodedCache === undefined ? {} : { decodedCache: config.decodedCache }),
    ...(config.workers === undefined ? {} : { workers: config.workers }),
    ...(state?.pipeline === undefined ? {} : { resume: state.pipeline }),
    ...(signal === undefined ? {} : { signal }),
  })
    .catch(explainSpecs(path, specs, 'shards'))
    .catch((error: unknown) => asOptionsError(error, past && `${path} cannot go on`));
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

/**
 * Trains, or continues a run.
 *
 * Leaves `config.json`, `shards.json`, `metrics.jsonl`, `bad-samples.jsonl`, `checkpoints/`, `last` and `index/` in the run's folder.
 * A resumed run has the loss sequence of one that was never stopped, on the same engine.
 *
 * @throws OptionsError or RunDirectoryError for options that cannot be used; Error when the loss is no longer a number, memory does not suffice,
 *   the disk is full or the data is bad
 */
export async function train(options: TrainOptions, controls: TrainControls = {}): Promise<TrainResult> {
  const began = performance.now();
  const { signal, poll, profile = false, ...hooks } = controls;
  const beginning = await begin(options);
  const { path, past } = beginning;
  let run = past?.run;
  // Whatever ends this, another may train there after it.
  await using _run = { [Symbol.asyncDispose]: async () => run?.close() };
  const { precision, device, threads } = beginning.config;
  const engineOptions = { precision, device, ...(threads === undefined ? {} : { threads }) };
  const engine = await selectEngine(beginning.config.engine, engineOptions).catch((error: unknown) => {
    throw new OptionsError(error instanceof Error ? error.message : String(error), { cause: error });
  });
  // After everything below, whatever ends this.
  await using _engine = { [Symbol.asyncDispose]: () => engine.dispose() };
  const config: TrainConfig = { ...beginning.config, engine: engine.name };
  hooks.onInfo?.(`engine ${engine.description}`);
  if (engine.name === 'wasm') hooks.onInfo?.('engine wasm computes on one core: it suits small networks and images');
  assertStateFits(config, engine);
  // The first evaluation comes when the run has a folder.
  if (config.valShards) {
    hooks.onWork?.(waitingFor(config.valShards));
    await listShards(config.valShards, { cwd: beginning.specs.folders.valShards, ...(signal && { signal }) })
      .catch(explainSpecs(path, beginning.specs, 'valShards'))
      .catch((error: unknown) => asOptionsError(error, optionName('valShards')));
  }
  if (config.augment === 'device' && engine.name === 'wasm')
    hooks.onWarning?.('augment device: the wasm engine shares the cores with the workers, so this is slower; it pays on a GPU');

  for (const warning of past?.warnings ?? []) hooks.onWarning?.(warning);
  await run?.continueAfter(past?.checkpoint?.state.step ?? -1);
  const earlyBad: object[] = [];
  const evaluations: EvaluationMetrics[] = [];
  const state = past?.checkpoint?.state;
  const record = (lost: object): unknown => (run ? run.appendBadSample(lost) : earlyBad.push(lost));
  const samples = await sampleOptions(config, hooks, record);
  // One that is there already may be of other runs.
  const makesIndex = past === undefined && config.indexDir === undefined && !(await exists(join(path, INDEX)));
  const indexDir = config.indexDir ?? join(path, INDEX);
  await using pipeline = await openPipeline({ ...beginning, config }, { samples, indexDir, record, hooks, signal });
  if (config.skipShards) hooks.onInfo?.(`leaves out ${config.skipShards.join(', ')} of ${pipeline.shards.length} shards`);
  if (pipeline.compared) hooks.onInfo?.(comparedInWords(pipeline.compared));
  else if (past) hooks.onWarning?.(`${path} has no shards.json: whether the data are those of the run is not known`);
  const digest = configDigest(config, pipeline.shards);
  if (state !== undefined && state.configDigest !== configDigest(config, pipeline.shards, state.format))
    throw new OptionsError(`${path}/config.json is not what ${past?.checkpoint?.path} was made with: restore it, or start another run`);

  hooks.onWork?.('waiting for the first images');
  // The first batch comes before the folder is made: data that cannot be read leaves nothing behind.
  const batches = await started(pipeline).catch(async (error: unknown) => {
    if (makesIndex) await removeIndex(path);
    if (signal?.aborted && error === signal.reason) throw error;
    if (error instanceof RangeError) asOptionsError(error);
    const failure = new DataError(error, { shards: pipeline.shards, run: past && path });
    throw new Error([failure.message, failure.remedy].filter(Boolean).join('; '), { cause: error });
  });
  const outlook = new Outlook({ config, engine, images: await estimateImages(pipeline, indexDir, samples, config.skipShards), hooks });
  outlook.begin();
  hooks.onWork?.('making the network');
  const method = methodKind(config.method.name).create(engine, config.method, config.seed);
  const optimizer = createOptimizer(engine, method.parameters, config.optimizer);
  try {
    if (past?.checkpoint) {
      restoreTensors({ method, optimizer }, past.checkpoint);
      method.host = past.checkpoint.state.method.host;
    }
    const { folders, loginLeftOut } = beginning.specs;
    const facts: RunFacts = { folders, loginLeftOut, engineDescription: engine.description, versions: versions() };
    const kept = { ...withoutLogins(config), ...(past && { checkShards: past.checkShards }), ...facts };
    if (run) await run.writeConfig(kept);
    else run = await RunDirectory.create(path, kept);
    const runShards = new RunShards(() => pipeline.found());
    await runShards.save(path);
    for (const bad of earlyBad) run.appendBadSample(bad);
    hooks.onInfo?.(past === undefined ? `run ${path}` : `run ${path} continues after step ${state?.step ?? 0}`);
    if (config.valShards === undefined) hooks.onInfo?.('no --val-shards: nothing is evaluated');

    const start: LoopStart = state && past?.checkpoint ? { ...state, checkpoint: past.checkpoint.path } : { step: 0, epoch: 0 };
    const recorder = profile ? new ProfileRecorder(pipeline) : undefined;
    const { freeRate, ...end } = await trainLoop(
      {
        config,
        configDigest: digest,
        engine,
        method,
        optimizer,
        batches: withDataErrors(batches, { shards: pipeline.shards, run: path, signal }),
        run,
        shards: runShards,
        versions: facts.versions,
        outlook,
        hooks: {
          ...hooks,
          onEvaluation: (metrics) => {
            evaluations.push(metrics);
            hooks.onEvaluation?.(metrics);
          },
        },
        ...(config.valShards && {
          evaluate: knnEvaluation({ ...beginning, config }, config.valShards, { engine, method, samples, signal }),
        }),
        ...(signal && { signal }),
        ...(poll && { poll }),
        ...(recorder && { recorder }),
      },
      start,
    );
    const seconds = (performance.now() - began) / 1000;
    const measured = recorder?.measured({ drained: false, ...(freeRate === undefined ? {} : { free: freeRate }) });
    return {
      ...end,
      run: path,
      engine: engine.name,
      evaluations,
      seconds,
      ...(measured && measured.steps.length > 0 ? { profile: measured } : {}),
    };
  } finally {
    method.dispose();
    optimizer.dispose();
  }
}
