/** What a run begins from: its options, its folder and, when it is resumed, its past. */
import { resolve } from 'node:path';
import type { FoundShard } from '../pipeline/index.js';
import { shellWord } from '../common/shell-word.js';
import type { LoadedCheckpoint } from './checkpoint.js';
import { presetOf, resolveConfig, resumeConfig } from './config.js';
import { otherGroups } from './rank-options.js';
import type { ConfigInput, TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';
import { withoutSameInit } from './init.js';
import { AUTO, loadResumed, newestRun, resumePoint, type ResumePoint } from './resume.js';
import { assertNoRun, assertWritable, readRunConfig, RunDirectory } from './run-directory.js';
import { type RunFacts, withoutFacts } from './run-facts.js';
import { readRunShards } from './run-shards.js';
import { shardSpecs, type ShardSpecs } from './shard-specs.js';

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
  /** Where that file is, for messages. */
  readonly filePath?: string;
}

/** What a run starts from: its options, folder, and when it is resumed its past. */
export interface Beginning {
  readonly path: string;
  readonly config: TrainConfig;
  readonly specs: ShardSpecs;
  readonly past?: {
    /** Of rank 0 alone, which has locked it. */
    readonly run?: RunDirectory;
    readonly warnings: readonly string[];
    readonly checkpoint?: LoadedCheckpoint;
    /** What the run has noted of its shards. */
    readonly shards?: readonly FoundShard[];
    /** What the run began with: what a resume is told is for that resume. */
    readonly checkShards: unknown;
    readonly facts: Pick<RunFacts, 'initWeights' | 'classNames'>;
  };
}

/** Folder of runs that were given none. */
const RUNS = 'runs';

async function beginNew({ out, resume: _resume, file, filePath, ...given }: TrainOptions, ranks: number): Promise<Beginning> {
  const config = resolveConfig(given, file, filePath, ranks);
  const path = out ?? `${RUNS}/${config.preset}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
  await assertNoRun(path);
  return { path, config, specs: shardSpecs(config, [given, file ?? {}]) };
}

/** Locks the run, and reads where it stands. */
async function beginAgain(
  { run: path, checkpoint: named }: ResumePoint,
  { out, resume: _resume, file = {}, filePath, ...given }: TrainOptions,
  ranks: number,
): Promise<Beginning> {
  if (out !== undefined && resolve(out) !== resolve(path))
    throw new OptionsError(`--out ${shellWord(out)} with --resume ${shellWord(path)}: a resumed run stays in its folder; leave --out out`);
  const kept = await readRunConfig(path);
  const { folders, loginLeftOut, initWeights, classNames } = kept as Partial<RunFacts>;
  const saved = withoutFacts(kept);
  await assertWritable(path);
  const [givenNow, fileNow] = [await withoutSameInit(given, initWeights), await withoutSameInit(file, initWeights)];
  const config = resumeConfig(saved, givenNow, fileNow, path, filePath, ranks);
  const specs = shardSpecs(config, [given, file], { ...(folders && { folders }), ...(loginLeftOut && { loginLeftOut }) });
  const run = await RunDirectory.open(path);
  try {
    const { checkpoint, warnings } = await loadResumed({ run: path, ...(named !== undefined && { checkpoint: named }) });
    const shards = await readRunShards(path);
    warnings.push(...otherGroups(config, ranks));
    // A run without a checkpoint needs the weights that it began with once more: from where they are said to lie now.
    const moved = givenNow.init === given.init && fileNow.init === file.init ? undefined : (given.init ?? file.init);
    const begun = checkpoint !== undefined && checkpoint.state.step > 0;
    const missing = begun ? await run.missingUpdates(checkpoint.state.step) : 0;
    if (missing > 0)
      warnings.push(
        `${path}/metrics.jsonl has no line of ${missing} of the ${checkpoint?.state.step} updates: it was cut or is another; the run goes on without them`,
      );
    if (begun && (config.skipShards?.length ?? 0) > ((saved['skipShards'] as readonly string[] | undefined)?.length ?? 0))
      warnings.push(
        'with shards left out the run goes on with the same order of the others, but not with the losses that it would have had; ' +
          'what this epoch has taken of them, it passes over of their neighbours',
      );
    return {
      path,
      config: checkpoint === undefined && moved !== undefined ? { ...config, init: resolve(moved) } : config,
      specs,
      past: {
        run,
        warnings,
        checkShards: saved['checkShards'],
        facts: { ...(initWeights && { initWeights }), ...(classNames && { classNames }) },
        ...(shards && { shards }),
        ...(checkpoint && { checkpoint }),
      },
    };
  } catch (error) {
    await run.close();
    throw error;
  }
}

/**
 * @param ranks that train together
 * @throws OptionsError or RunDirectoryError for what cannot be begun or continued
 */
export async function begin(options: TrainOptions, ranks = 1): Promise<Beginning> {
  const { resume, out, ...rest } = options;
  if (resume === undefined) return beginNew(options, ranks);
  if (resume !== AUTO) return beginAgain(await resumePoint(resume), options, ranks);
  const run = await (out === undefined ? newestRun(RUNS, `${presetOf(options)}-`) : newestRun(out));
  return run === undefined ? beginNew(options, ranks) : beginAgain({ run }, rest, ranks);
}
