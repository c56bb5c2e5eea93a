/** Puts a run together from its options, runs it, and takes it apart again. */
import { readFileSync } from 'node:fs';
import { version_core as tensorflowVersion } from '@tensorflow/tfjs-core';
import { counted } from '../common/counted.js';
import { given } from '../common/options.js';
import { type Company, type CompanyPlace, type Engine, meet, MEETING_MS, selectEngine } from '../engine/index.js';
import { OnlineProbe } from '../eval/index.js';
import type { LoadedBackbone } from '../interop/index.js';
import { methodKind } from '../model/index.js';
import { type Measured, ProfileRecorder } from '../pipeline/profile/record.js';
import { Agreement, explained, StopAgreed } from './agreement.js';
import { beginTogether } from './begin-together.js';
import { begin, type Beginning, type TrainOptions } from './beginning.js';
import type { LoadedCheckpoint } from './checkpoint.js';
import type { TrainConfig } from './config-schema.js';
import { coresFor, tiedToOneCore } from './cores.js';
import { ranksInWords } from './rank-options.js';
import { formatDuration } from '../common/duration.js';
import { OptionsError } from './options-error.js';
import { withDataErrors } from './data-error.js';
import { classNamesOf } from './class-names.js';
import { runEvaluation } from './evaluation.js';
import { evaluateTogether, NO_SHARES, sharesOf } from './evaluation-shares.js';
import { estimateImages } from '../pipeline/extent.js';
import { assertSameData, findData } from './find-data.js';
import { followedRun } from './followed-run.js';
import { loadInit, startFrom } from './init.js';
import { BatchPicture, keepFile } from './batch-picture.js';
import type { TrainHooks, TrainRequests } from './hooks.js';
import { trainLoop } from './loop.js';
import type { LoopEnd, LoopStart } from './loop-context.js';
import { assertStateFits } from './memory.js';
import { countRefused, openDecoder } from './device-decode.js';
import { namingFile } from './naming-file.js';
import { openData } from './open-data.js';
import { createOptimizer } from './optimizer/index.js';
import { Outlook } from './outlook.js';
import type { EvaluationMetrics } from './metrics.js';
import { RunDirectory } from './run-directory.js';
import type { RunFacts } from './run-facts.js';
import { RunShards } from './run-shards.js';
import { withoutLogins } from './shard-specs.js';
import { restore, variablesOf } from './tensors.js';

export interface TrainControls extends TrainHooks, TrainRequests {
  /** Where this process stands among several that train together, each with the same options. Default: it is alone. */
  readonly place?: CompanyPlace;
  /** Records whether updates wait for data, and by what; `profileReport` makes a report of the result's `profile`. */
  readonly profile?: boolean;
  /** Leaves `views.png` in the run's folder at the beginning of each epoch, unless views are made on the device. */
  readonly views?: boolean;
}

/** What `train` ends with. */
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
function startEngine({ engine, precision, device, threads }: TrainConfig, company: Company | undefined): Promise<Engine> {
  const share = company && coresFor(company);
  const options = { precision, device, ...given({ threads: threads ?? share, company }, ['threads', 'company']) };
  return selectEngine(engine, options).catch((error: unknown) => {
    throw new OptionsError(error instanceof Error ? error.message : String(error), { cause: error });
  });
}

/** What is known of a run before its data are. */
function sayEngine({ augment }: TrainConfig, { name, device, description }: Engine, { onInfo, onWarning }: TrainHooks): void {
  onInfo?.(`engine ${description}`);
  if (name === 'wasm') onInfo?.('engine wasm computes on one core: it suits small networks and images');
  if (augment === 'device' && device === 'cpu')
    onWarning?.(`augment device: engine ${name} shares the cores with the workers, so this is slower; it pays on a GPU`);
}

/** Method, optimizer and the probe that was asked for, as they start, at random or from weights, or as the checkpoint has them. */
async function createTrained(
  engine: Engine,
  { method: options, optimizer, seed, evaluate }: TrainConfig,
  { checkpoint, init }: { readonly checkpoint: LoadedCheckpoint | undefined; readonly init: LoadedBackbone | undefined },
  company: Company | undefined,
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
    // Of several ranks the first has the checkpoint's tensors.
    if (checkpoint && !company?.rank) restore(trained, checkpoint);
    if (checkpoint) method.host = checkpoint.state.method.host;
    const [classes] = (await company?.exchange(trained.probe?.classes)) ?? [];
    if (classes) trained.probe?.reserve(classes);
    engine.ranks.broadcast(variablesOf(trained));
  } catch (error) {
    dispose();
    throw error;
  }
  return { ...trained, [Symbol.dispose]: dispose };
}

/** What a rank other than the first tells: what it warns of. The rest the first tells for all. */
function hooksOf(hooks: TrainHooks, company: Company | undefined): TrainHooks {
  if (!company?.rank) return hooks;
  return {
    onWarning: (message) => hooks.onWarning?.(`rank ${company.rank}: ${message}`),
  };
}

/** `config.json` of a run as it is from here on, in a folder that is made where there is none. */
async function keepConfig(
  { path, past, specs: { folders, loginLeftOut } }: Beginning,
  config: TrainConfig,
  facts: Pick<RunFacts, 'engineDescription' | 'versions' | 'initWeights' | 'classNames'>,
): Promise<RunDirectory> {
  const kept = { ...withoutLogins(config), ...(past && { checkShards: past.checkShards }), folders, loginLeftOut, ...facts };
  if (!past) return RunDirectory.create(path, kept);
  const run = past.run as RunDirectory;
  await run.writeConfig(kept);
  return run;
}

/**
 * Trains, or continues a run.
 *
 * Leaves `config.json`, `shards.json`, `metrics.jsonl`, `bad-samples.jsonl`, `checkpoints/`, `last` and `index/` in the run's folder.
 * A resumed run has the loss sequence of one that was never stopped, on the same engine. Of several ranks the first leaves all this, and
 * the others resolve to the same.
 *
 * @throws OptionsError or RunDirectoryError for options that cannot be used; Error when the loss is no longer a number, memory does not suffice,
 *   the disk is full or the data is bad; CompanyError where another rank has failed or is gone
 */
export function train(options: TrainOptions, controls: TrainControls = {}): Promise<TrainResult> {
  return trainRun(options, controls).catch(namingFile(options));
}

async function trainRun(options: TrainOptions, { place, ...controls }: TrainControls): Promise<TrainResult> {
  if (place === undefined) return trainFrom(await begin(options), controls);
  controls.onWork?.(meetingInWords(place));
  await using company = await meet(place, controls.signal);
  // What comes next is told by rank 0 for all.
  if (company.rank > 0) controls.onWork?.('');
  let begun: Beginning | undefined;
  try {
    begun = await beginTogether(options, versions()['detco'] ?? '', company);
    const result = await trainFrom(begun, controls, company);
    // What rank 0 could not write is a failure of all.
    await company.exchange('done');
    return result;
  } catch (error) {
    throw error instanceof StopAgreed ? error : await explained(error, company, begun?.path);
  }
}

/** Lets the other ranks hear why this one cannot begin. @throws that */
export async function refuseTogether(error: unknown, place: CompanyPlace, signal: AbortSignal): Promise<never> {
  await using company = await meet(place, signal);
  throw await company.explain(error);
}

function meetingInWords({ rank, size, host, port }: CompanyPlace): string {
  const others = rank === 0 ? `waiting at port ${port} for ${counted(size - 1, 'other rank')}` : `looking for rank 0 at ${host}:${port}`;
  return `${others}, ${formatDuration(MEETING_MS / 1000)} at most`;
}

async function trainFrom(begun: Beginning, controls: TrainControls, company?: Company): Promise<TrainResult> {
  const began = performance.now();
  const { signal, poll, profile = false, views = false, ...all } = controls;
  const hooks = hooksOf(all, company);
  const leads = !company?.rank;
  const known = versions();
  const { path, past } = begun;
  let run = past?.run;
  // Whatever ends this, another may train there after it.
  await using _run = { [Symbol.asyncDispose]: async () => run?.close() };
  // What a checkpoint holds comes in the place of what the run began with.
  const init = past?.checkpoint || !leads ? undefined : await loadInit(begun.config, past?.facts.initWeights);
  const classNames = await classNamesOf(begun.config, past?.facts.classNames);
  const found = await findData(begun, classNames?.fact, { hooks, signal });
  await company?.exchange(found).then((all) => assertSameData(all, begun.config));
  const engine = await startEngine(begun.config, company);
  // After everything below, whatever ends this.
  await using _engine = { [Symbol.asyncDispose]: () => engine.dispose() };
  const asked: Beginning = { ...begun, config: { ...begun.config, engine: engine.name } };
  sayEngine(asked.config, engine, hooks);
  const decoder = asked.config.decode === 'device' ? openDecoder(engine) : undefined;
  if (company) hooks.onInfo?.(ranksInWords(company, asked.config));
  const tied = company && tiedToOneCore(company);
  if (tied !== undefined) hooks.onWarning?.(tied);
  assertStateFits(asked.config, engine);

  for (const warning of past?.warnings ?? []) hooks.onWarning?.(warning);
  await run?.continueAfter(past?.checkpoint?.state.step ?? -1);
  const earlyBad: object[] = [];
  const record = (lost: object): unknown => (run ? run.appendBadSample(lost) : earlyBad.push(lost));
  const agreement = company && new Agreement(company, record);
  const noted = agreement ? (lost: object) => agreement.lost(lost) : record;
  await using data = await openData(asked, { record: noted, hooks, classNames: classNames?.names, company, signal });
  const { pipeline, samples, indexDir, config } = data;
  const beginning: Beginning = { ...asked, config };
  // What a method keeps for each image is known now.
  assertStateFits(config, engine);
  const outlook = new Outlook({ config, engine, images: await estimateImages(pipeline, indexDir, samples, config.skipShards), hooks });
  if (leads) outlook.begin();
  hooks.onWork?.('making the network');
  using trained = await createTrained(engine, config, { checkpoint: past?.checkpoint, init }, company);
  const initWeights = init ? { path: init.source.path, sha256: init.source.sha256 } : past?.facts.initWeights;
  for (const warning of init?.warnings ?? []) hooks.onWarning?.(warning);
  if (init) hooks.onInfo?.(`the backbone starts from ${init.source.path}, all else at random`);
  const facts = {
    engineDescription: engine.description,
    versions: known,
    ...(initWeights && { initWeights }),
    ...(classNames && { classNames: classNames.fact }),
  };
  run = leads ? await keepConfig(beginning, config, facts) : undefined;
  const shards = new RunShards(() => pipeline.found());
  if (leads) await shards.save(path);
  for (const bad of earlyBad) run?.appendBadSample(bad);
  const tensorBoard = run && config.log.includes('tensorboard') ? await run.logForTensorBoard(hooks.onWarning) : undefined;
  const state = past?.checkpoint?.state;
  hooks.onRun?.(path);
  hooks.onInfo?.(past === undefined ? `run ${path}` : `run ${path} continues after step ${state?.step ?? 0}`);

  const { method, optimizer, probe } = trained;
  const shares = agreement ? sharesOf(agreement, engine.ranks, coresFor(company)) : NO_SHARES;
  const alone = runEvaluation(beginning, { engine, method, probe, samples, signal, shares });
  const evaluate = alone && agreement ? evaluateTogether(alone, agreement, signal) : alone;
  if (config.valShards === undefined && config.evaluate.includes('knn'))
    hooks.onInfo?.(`no --val-shards: ${evaluate ? 'kNN accuracy is not measured' : 'nothing is evaluated'}`);
  const evaluations: EvaluationMetrics[] = [];
  const onEvaluation = (metrics: EvaluationMetrics): void => {
    evaluations.push(metrics);
    hooks.onEvaluation?.(metrics);
  };
  const keep = async (png: Buffer): Promise<void> => {
    tensorBoard?.show('views', png);
    if (views) await keepFile(png, path);
  };
  const drawn = (views || tensorBoard) && config.augment !== 'device';
  await using picture = drawn && run ? new BatchPicture(run, (message) => hooks.onWarning?.(message), keep) : undefined;
  const refused = countRefused(hooks);
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
      decoder,
      onRefused: refused.add,
      meters: () => pipeline.meters(),
      batches: withDataErrors(picture ? picture.of(data.batches) : data.batches, { shards: pipeline.shards, run: path, signal }),
      run: run ?? followedRun(path),
      ...(agreement && { agreement }),
      ...(data.badBudget && { badBudget: data.badBudget }),
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
  refused.tell();
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
