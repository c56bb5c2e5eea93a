/** Puts a run together from its options, runs it, and takes it apart again. */
import { readFileSync } from 'node:fs';
import { version_core as tensorflowVersion } from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '../engine/index.js';
import { OnlineProbe } from '../eval/index.js';
import type { LoadedBackbone } from '../interop/index.js';
import { methodKind } from '../model/index.js';
import { type Measured, ProfileRecorder } from '../pipeline/profile/record.js';
import { skippedNames } from '../pipeline/plan/skip.js';
import { listShards } from '../pipeline/source/index.js';
import { begin, type Beginning, type TrainOptions } from './beginning.js';
import type { LoadedCheckpoint } from './checkpoint.js';
import type { TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';
import { withDataErrors } from './data-error.js';
import { classNamesOf } from './class-names.js';
import { asOptionsError, waitingFor } from './data-options.js';
import { runEvaluation } from './evaluation.js';
import { estimateImages } from '../pipeline/extent.js';
import { optionName } from './flags.js';
import { loadInit, startFrom } from './init.js';
import type { TrainHooks, TrainRequests } from './hooks.js';
import { trainLoop, type LoopEnd, type LoopStart } from './loop.js';
import { assertStateFits } from './memory.js';
import { namingFile } from './naming-file.js';
import { openData } from './open-data.js';
import { createOptimizer } from './optimizer/index.js';
import { Outlook } from './outlook.js';
import type { EvaluationMetrics } from './metrics.js';
import { RunDirectory } from './run-directory.js';
import type { RunFacts } from './run-facts.js';
import { RunShards } from './run-shards.js';
import { explainSpecs, type SpecOption, withoutLogins } from './shard-specs.js';
import { restore } from './tensors.js';

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

function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return { detco: version, node: process.versions.node, tensorflowjs: tensorflowVersion };
}

/** Starts the engine that the options name. @throws OptionsError where it does not run here or so */
function startEngine({ engine, precision, device, threads }: TrainConfig): Promise<Engine> {
  const options = { precision, device, ...(threads === undefined ? {} : { threads }) };
  return selectEngine(engine, options).catch((error: unknown) => {
    throw new OptionsError(error instanceof Error ? error.message : String(error), { cause: error });
  });
}

/** What is known of a run before its data are. */
function sayEngine({ augment }: TrainConfig, { name, description }: Engine, { onInfo, onWarning }: TrainHooks): void {
  onInfo?.(`engine ${description}`);
  if (name !== 'wasm') return;
  onInfo?.('engine wasm computes on one core: it suits small networks and images');
  if (augment === 'device')
    onWarning?.('augment device: the wasm engine shares the cores with the workers, so this is slower; it pays on a GPU');
}

/**
 * An engine takes its time to start, and the first evaluation comes when the run has a folder: that the shards are there is to be known before.
 * @throws OptionsError for those that cannot be listed
 */
async function assertShards(
  { path, config, specs, past }: Beginning,
  option: SpecOption,
  { hooks, signal }: { readonly hooks: TrainHooks; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const named = config[option];
  if (!named) return;
  const about = option === 'valShards' ? optionName(option) : past && `${path} cannot go on`;
  const mayBeMissing = option === 'shards' ? skippedNames(config.skipShards ?? []) : new Set<string>();
  hooks.onWork?.(waitingFor(named));
  await listShards(named, { cwd: specs.folders[option], mayBeMissing, ...(signal && { signal }) })
    .catch(explainSpecs(path, specs, option))
    .catch((error: unknown) => asOptionsError(error, about));
}

/** Method, optimizer and the probe that was asked for, as they start, at random or from weights, or as the checkpoint has them. */
function createTrained(
  engine: Engine,
  { method: options, optimizer, seed, evaluate }: TrainConfig,
  { checkpoint, init }: { readonly checkpoint: LoadedCheckpoint | undefined; readonly init: LoadedBackbone | undefined },
) {
  const method = methodKind(options.name).create(engine, options, seed);
  const { featureStage, backbone } = method;
  const trained = {
    method,
    optimizer: createOptimizer(engine, method.parameters, optimizer),
    ...(evaluate.includes('linear') && { probe: new OnlineProbe(engine, backbone.channels[featureStage]) }),
  };
  const dispose = () => {
    method.dispose();
    trained.optimizer.dispose();
    trained.probe?.[Symbol.dispose]();
  };
  try {
    if (init) startFrom(method, init);
    if (checkpoint) restore(trained, checkpoint);
  } catch (error) {
    dispose();
    throw error;
  }
  return { ...trained, [Symbol.dispose]: dispose };
}

/** `config.json` of a run as it is from here on, in a folder that is made where there is none. */
async function keepConfig(
  { path, past, specs: { folders, loginLeftOut } }: Beginning,
  config: TrainConfig,
  facts: Pick<RunFacts, 'engineDescription' | 'versions' | 'initWeights' | 'classNames'>,
): Promise<RunDirectory> {
  const kept = { ...withoutLogins(config), ...(past && { checkShards: past.checkShards }), folders, loginLeftOut, ...facts };
  if (!past) return RunDirectory.create(path, kept);
  await past.run.writeConfig(kept);
  return past.run;
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
export function train(options: TrainOptions, controls: TrainControls = {}): Promise<TrainResult> {
  return trainRun(options, controls).catch(namingFile(options));
}

async function trainRun(options: TrainOptions, controls: TrainControls): Promise<TrainResult> {
  const began = performance.now();
  const { signal, poll, profile = false, ...hooks } = controls;
  const given = await begin(options);
  const { path, past } = given;
  let run = past?.run;
  // Whatever ends this, another may train there after it.
  await using _run = { [Symbol.asyncDispose]: async () => run?.close() };
  // What a checkpoint holds comes in the place of what the run began with.
  const init = past?.checkpoint ? undefined : await loadInit(given.config, past?.facts.initWeights);
  const classNames = await classNamesOf(given.config, past?.facts.classNames);
  for (const option of ['shards', 'valShards'] as const) await assertShards(given, option, { hooks, signal });
  const engine = await startEngine(given.config);
  // After everything below, whatever ends this.
  await using _engine = { [Symbol.asyncDispose]: () => engine.dispose() };
  const config: TrainConfig = { ...given.config, engine: engine.name };
  const beginning: Beginning = { ...given, config };
  sayEngine(config, engine, hooks);
  assertStateFits(config, engine);

  for (const warning of past?.warnings ?? []) hooks.onWarning?.(warning);
  await run?.continueAfter(past?.checkpoint?.state.step ?? -1);
  const earlyBad: object[] = [];
  const record = (lost: object): unknown => (run ? run.appendBadSample(lost) : earlyBad.push(lost));
  await using data = await openData(beginning, { record, hooks, signal, classNames: classNames?.names });
  const { pipeline, samples, indexDir } = data;
  const outlook = new Outlook({ config, engine, images: await estimateImages(pipeline, indexDir, samples, config.skipShards), hooks });
  outlook.begin();
  hooks.onWork?.('making the network');
  using trained = createTrained(engine, config, { checkpoint: past?.checkpoint, init });
  const initWeights = init ? { path: init.source.path, sha256: init.source.sha256 } : past?.facts.initWeights;
  for (const warning of init?.warnings ?? []) hooks.onWarning?.(warning);
  if (init) hooks.onInfo?.(`the backbone starts from ${init.source.path}, all else at random`);
  const facts = {
    engineDescription: engine.description,
    versions: versions(),
    ...(initWeights && { initWeights }),
    ...(classNames && { classNames: classNames.fact }),
  };
  run = await keepConfig(beginning, config, facts);
  const shards = new RunShards(() => pipeline.found());
  await shards.save(path);
  for (const bad of earlyBad) run.appendBadSample(bad);
  const state = past?.checkpoint?.state;
  hooks.onInfo?.(past === undefined ? `run ${path}` : `run ${path} continues after step ${state?.step ?? 0}`);

  const { method, optimizer, probe } = trained;
  const evaluate = runEvaluation(beginning, { engine, method, probe, samples, signal });
  if (config.valShards === undefined && config.evaluate.includes('knn'))
    hooks.onInfo?.(`no --val-shards: ${evaluate ? 'kNN accuracy is not measured' : 'nothing is evaluated'}`);
  const evaluations: EvaluationMetrics[] = [];
  const onEvaluation = (metrics: EvaluationMetrics): void => {
    evaluations.push(metrics);
    hooks.onEvaluation?.(metrics);
  };
  const recorder = profile ? new ProfileRecorder(pipeline) : undefined;
  const start: LoopStart = state && past?.checkpoint ? { ...state, checkpoint: past.checkpoint.path } : { step: 0, epoch: 0 };
  const { freeRate, ...end } = await trainLoop(
    {
      config,
      configDigest: data.digest,
      engine,
      method,
      optimizer,
      ...(probe && { probe }),
      batches: withDataErrors(data.batches, { shards: pipeline.shards, run: path, signal }),
      run,
      shards,
      versions: facts.versions,
      outlook,
      hooks: { ...hooks, onEvaluation },
      ...(evaluate && { evaluate }),
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
}
