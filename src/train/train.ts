/** Puts a run together from its options, runs it, and takes it apart again. */
import { readFileSync } from 'node:fs';
import { rm, rmdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { version_core as tensorflowVersion } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import { selectEngine } from '../engine/index.js';
import { EvaluationImages, evaluateKnn } from '../eval/index.js';
import { ContrastiveMethod } from '../model/index.js';
import { type CacheEvent, createPipeline, type FoundShard, type PipelineOptions, SourceError } from '../pipeline/index.js';
import { readClassNames } from '../pipeline/shard/class-names.js';
import { type ShardLeftOut, warnOncePerKind } from '../pipeline/shard/left-out.js';
import { listShards } from '../pipeline/source/index.js';
import { type Measured, ProfileRecorder } from '../pipeline/profile/record.js';
import type { LoadedCheckpoint } from './checkpoint.js';
import {
  configDigest,
  OptionsError,
  presetOf,
  resolveConfig,
  resumeConfig,
  trainingRecipe,
  type ConfigInput,
  type TrainConfig,
} from './config.js';
import { DataError, withDataErrors } from './data-error.js';
import { estimateImages } from './extent.js';
import { trainLoop, type LoopEnd, type LoopStart, type TrainHooks, type TrainRequests } from './loop.js';
import { assertQueuesFit } from './memory.js';
import { Outlook } from './outlook.js';
import { AUTO, loadResumed, newestRun, resumePoint, type ResumePoint } from './resume.js';
import { assertNoRun, assertWritable, readRunConfig, RunDirectory, type EvaluationMetrics } from './run-directory.js';
import { comparedInWords, readRunShards, RunShards } from './run-shards.js';
import { explainSpecs, shardSpecs, withoutLogins, type ShardSpecs, type SpecFacts } from './shard-specs.js';
import { createVelocities, restoreTensors } from './tensors.js';

export interface TrainOptions extends ConfigInput {
  /** Folder of a new run. Default `runs/PRESET-TIME`. */
  readonly out?: string;
  /**
   * What to continue: a run's folder, or one of its checkpoints, `RUN/checkpoints/step-N`; options that are not given are the run's own.
   * `auto` is the run in `out`, or the newest below it (without `out`: of `runs/PRESET-*`), or a new one when there is none.
   */
  readonly resume?: string;
  /** Options of a config file, between the preset's and these. */
  readonly file?: ConfigInput;
}

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

/** `config.json` beyond the options. */
interface RunFacts extends SpecFacts {
  readonly engineDescription: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** What a run starts from: its options, folder, and when it is resumed its past. */
interface Beginning {
  readonly path: string;
  readonly config: TrainConfig;
  readonly specs: ShardSpecs;
  readonly past?: {
    readonly run: RunDirectory;
    readonly warnings: readonly string[];
    readonly checkpoint?: LoadedCheckpoint;
    /** What the run has noted of its shards. */
    readonly shards?: readonly FoundShard[];
    /** What the run began with: what a resume is told is for that resume. */
    readonly checkShards: unknown;
  };
}

/** Folder of runs that were given none. */
const RUNS = 'runs';
/** Time between two lines about shards that are asked for. */
const ANSWERS_MS = 5000;
/** Folder of a run's own shard indexes. */
const INDEX = 'index';

function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return { detco: version, node: process.versions.node, tensorflowjs: tensorflowVersion };
}

async function beginNew({ out, resume: _resume, file, ...given }: TrainOptions): Promise<Beginning> {
  const config = resolveConfig(given, file);
  const path = out ?? `${RUNS}/${config.preset}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
  await assertNoRun(path);
  return { path, config, specs: shardSpecs(config, [given, file ?? {}]) };
}

/** Locks the run, and reads where it stands. */
async function beginAgain(
  { run: path, checkpoint: named }: ResumePoint,
  { out, resume: _resume, file = {}, ...given }: TrainOptions,
): Promise<Beginning> {
  if (out !== undefined && resolve(out) !== resolve(path))
    throw new OptionsError(`--out ${out} with --resume ${path}: a resumed run stays in its folder; leave --out out`);
  const {
    folders,
    loginLeftOut,
    engineDescription: _engine,
    versions: _versions,
    ...saved
  } = (await readRunConfig(path)) as Record<string, unknown> & Partial<RunFacts>;
  await assertWritable(path);
  const config = resumeConfig(saved, given, file, path);
  const specs = shardSpecs(config, [given, file], { ...(folders && { folders }), ...(loginLeftOut && { loginLeftOut }) });
  const run = await RunDirectory.open(path);
  try {
    const { checkpoint, warnings } = await loadResumed({ run: path, ...(named !== undefined && { checkpoint: named }) });
    const shards = await readRunShards(path);
    const begun = checkpoint !== undefined && checkpoint.state.step > 0;
    if (begun && (config.skipShards?.length ?? 0) > ((saved['skipShards'] as readonly string[] | undefined)?.length ?? 0))
      warnings.push(
        'with shards left out the run goes on with the same order of the others, but not with the losses that it would have had; ' +
          'what this epoch has taken of them, it passes over of their neighbours',
      );
    return {
      path,
      config,
      specs,
      past: { run, warnings, checkShards: saved['checkShards'], ...(shards && { shards }), ...(checkpoint && { checkpoint }) },
    };
  } catch (error) {
    await run.close();
    throw error;
  }
}

async function begin(options: TrainOptions): Promise<Beginning> {
  const { resume, out, ...rest } = options;
  if (resume === undefined) return beginNew(options);
  if (resume !== AUTO) return beginAgain(await resumePoint(resume), options);
  const run = await (out === undefined ? newestRun(RUNS, `${presetOf(options)}-`) : newestRun(out));
  return run === undefined ? beginNew(options) : beginAgain({ run }, rest);
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

/** What the pipeline says of its options, and of shards that cannot be listed, is about the run's options. */
function asOptionsError(error: unknown, resumed?: string): never {
  if (!(error instanceof RangeError || error instanceof SourceError)) throw error;
  throw new OptionsError(resumed === undefined ? error.message : `${resumed} cannot go on: ${error.message}`, { cause: error });
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
  assertQueuesFit(config, engine);
  // The first evaluation comes when the run has a folder.
  if (config.valShards)
    await listShards(config.valShards, { cwd: beginning.specs.folders.valShards, ...(signal && { signal }) })
      .catch(explainSpecs(path, beginning.specs, 'valShards'))
      .catch(asOptionsError);
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
  await using pipeline = await createPipeline({
    shards: config.shards,
    cwd: beginning.specs.folders.shards,
    ...skipOptions(config),
    checkShards: config.checkShards,
    onAnswer: sayProgress(hooks),
    ...(past?.shards && { expect: past.shards }),
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
    .catch(explainSpecs(path, beginning.specs, 'shards'))
    .catch((error: unknown) => asOptionsError(error, past && path));
  if (config.skipShards) hooks.onInfo?.(`leaves out ${config.skipShards.join(', ')} of ${pipeline.shards.length} shards`);
  if (pipeline.compared) hooks.onInfo?.(comparedInWords(pipeline.compared));
  else if (past) hooks.onWarning?.(`${path} has no shards.json: whether the data are those of the run is not known`);
  const digest = configDigest(config, pipeline.shards);
  if (state !== undefined && state.configDigest !== digest)
    throw new OptionsError(`${path}/config.json is not what ${past?.checkpoint?.path} was made with: restore it, or start another run`);

  hooks.onWork?.('waiting for the first images');
  // The first batch comes before the folder is made: data that cannot be read leaves nothing behind.
  const batches = await started(pipeline).catch(async (error: unknown) => {
    if (makesIndex) await removeIndex(path);
    if (signal?.aborted && error === signal.reason) throw error;
    if (error instanceof RangeError) throw new OptionsError(error.message, { cause: error });
    const failure = new DataError(error, { shards: pipeline.shards, run: past && path });
    throw new Error([failure.message, failure.remedy].filter(Boolean).join('; '), { cause: error });
  });
  const outlook = new Outlook({ config, engine, images: await estimateImages(pipeline, indexDir, samples), hooks });
  outlook.begin();
  hooks.onWork?.('making the network');
  const method = ContrastiveMethod.create(engine, config.method, config.seed);
  const velocities = createVelocities(method);
  try {
    if (past?.checkpoint) {
      restoreTensors(method, velocities, past.checkpoint);
      method.queuePointer = past.checkpoint.state.pointer;
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
        velocities,
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
    for (const velocity of velocities.values()) velocity.dispose();
  }
}

function skipOptions({ skipShards }: TrainConfig): Pick<PipelineOptions, 'skipShards'> {
  return skipShards === undefined ? {} : { skipShards };
}

/** How shards are read and decoded, for training and for evaluation. */
function readingOptions({ cacheDir, cacheSize, maxPixels, decodeMemory }: TrainConfig): ReadingOptions {
  return {
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(cacheSize === undefined ? {} : { cacheSize }),
    ...(maxPixels === undefined ? {} : { maxPixels }),
    ...(decodeMemory === undefined ? {} : { decodeMemory }),
  };
}

type ReadingOptions = Pick<PipelineOptions, 'cacheDir' | 'cacheSize' | 'maxPixels' | 'decodeMemory'>;

type SampleOptions = Pick<PipelineOptions, 'imageField' | 'labelField' | 'classNames' | 'onLeftOut'>;

/** What members of shards are what. What is left out is recorded for each shard, and warned of once for each reason. */
async function sampleOptions(
  { imageField, labelField, classesFile }: TrainConfig,
  hooks: TrainHooks,
  record: (leftOut: ShardLeftOut) => unknown,
): Promise<SampleOptions> {
  const warn = warnOncePerKind((warning) => hooks.onWarning?.(warning));
  return {
    ...(imageField !== undefined && { imageField }),
    ...(labelField !== undefined && { labelField }),
    ...(classesFile !== undefined && { classNames: await readClassNames(classesFile).catch(asOptionsError) }),
    onLeftOut: (leftOut) => {
      record(leftOut);
      warn(leftOut);
    },
  };
}

/** A disk that is full stays full for many shards. */
function warnOnce(hooks: TrainHooks): (event: CacheEvent) => void {
  let warned = false;
  return ({ kind, url, reason }) => {
    if (kind !== 'failed' || warned) return;
    warned = true;
    hooks.onWarning?.(`${url}: ${reason}. The run goes on without; this is said once`);
  };
}

/** A server far away takes its time for many shards. */
function sayProgress({ onInfo }: TrainHooks): NonNullable<PipelineOptions['onAnswer']> {
  let said = performance.now();
  return ({ asked, total }) => {
    if (performance.now() - said < ANSWERS_MS) return;
    said = performance.now();
    onInfo?.(`asked for ${asked} of ${total} shards (--check-shards none leaves it out)`);
  };
}

interface EvaluationParts {
  readonly engine: Engine;
  readonly method: ContrastiveMethod;
  readonly samples: SampleOptions;
  readonly signal: AbortSignal | undefined;
}

function knnEvaluation(beginning: Beginning, valShards: readonly string[], { engine, method, samples, signal }: EvaluationParts) {
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
  const options = { engine, method, bank, queries, temperature, ...(k === undefined ? {} : { k }), ...(signal && { signal }) };
  return (pause: () => Promise<void>) => evaluateKnn({ ...options, pause }).catch(explainSpecs(path, specs, 'valShards'));
}
