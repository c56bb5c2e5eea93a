/** The folder of a run: `config.json`, `metrics.jsonl`, `bad-samples.jsonl` and the checkpoints. */
import { appendFileSync, closeSync, createReadStream, fsyncSync, openSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { folderProblem } from '../pipeline/output-place.js';
import { shellWord } from '../common/shell-word.js';
import { codeOf, isFullDisk } from '../common/error-code.js';
import { given, isOptions, type Options } from '../common/options.js';
import { quoted } from '../common/quoted.js';
import { Held } from './held.js';
import { countUpdates, endLastLine, furthestStep, type Resumption, settleMetrics } from './metrics-file.js';
import { removeEventFiles } from './log/event-files.js';
import { TensorBoardLog } from './log/tensorboard-log.js';
import type { EvaluationMetrics, StepMetrics } from './metrics.js';
import { replaceFile } from './replace-file.js';
import { RunDirectoryError } from './run-directory-error.js';
import { RunLock } from './run-lock.js';

const CONFIG = 'config.json';
export const METRICS = 'metrics.jsonl';
const BAD_SAMPLES = 'bad-samples.jsonl';
/** Any of these makes a folder a run. */
const RUN_FILES: ReadonlySet<string> = new Set([CONFIG, METRICS, 'checkpoints']);

/** What has become of a run's folder while the run went on. */
export interface Loss {
  /** In words, with the folder. */
  readonly problem: string;
  /** Whether the folder is still the run's own. */
  readonly ours: boolean;
}

/** Thrown before a write to a folder that is no longer the run's, or that lacks what the run has written. */
export class LostError extends Error {
  override name = 'LostError';
}

/** Throws a RunDirectoryError when a run cannot write into `path`, which need not be there. */
export async function assertWritable(path: string): Promise<void> {
  const problem = await folderProblem(path);
  if (problem !== undefined) throw new RunDirectoryError(`The run cannot be in "${path}": ${problem}`);
}

async function entries(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/**
 * Throws a RunDirectoryError when `path` holds a run, or cannot hold one. A run that made no update is none: it ended by options that
 * could not be used, and must not be in the way of the better ones.
 */
export async function assertNoRun(path: string): Promise<void> {
  await assertWritable(path);
  const problem = await runThere(path);
  if (problem === undefined) return;
  // Of one that has just begun it is to be known who trains there.
  await RunLock.assertFree(path);
  throw new RunDirectoryError(problem);
}

async function runThere(path: string): Promise<string | undefined> {
  const found = (await entries(path)).filter((entry) => RUN_FILES.has(entry));
  if (found.length === 0 || (await madeNoUpdate(path))) return undefined;
  return `"${path}" already holds a run (${found.join(', ')}): continue it with --resume ${shellWord(path)}, or choose another --out`;
}

/** Whether all that a run of ours left is what a new one makes again from the same seed. */
async function madeNoUpdate(path: string): Promise<boolean> {
  const config = await readRunConfig(path).catch(() => undefined);
  if (!config || !('engineDescription' in config)) return false;
  // A copy may have made the newest checkpoint of the link, and left out the others.
  if ((await lstat(join(path, 'last')).catch(() => undefined))?.isDirectory()) return false;
  const checkpoints = await entries(join(path, 'checkpoints'));
  return checkpoints.every((name) => name === 'step-0') && (await furthestStep(join(path, METRICS))) === 0;
}

/** Removes what a run without an update has left. */
async function clear(path: string): Promise<void> {
  for (const name of [CONFIG, METRICS, BAD_SAMPLES, 'views.png', 'last', 'checkpoints'])
    await rm(join(path, name), { recursive: true, force: true });
  await removeEventFiles(path);
}

/** Reads `config.json` of a run. Throws a RunDirectoryError when there is none, or it holds no options. */
export async function readRunConfig(path: string): Promise<Options> {
  const file = join(path, CONFIG);
  const damaged = (what: string, cause?: SyntaxError) =>
    new RunDirectoryError(`${file} is damaged (${what}): it holds the options of the run; restore it from a copy`, { cause });
  let config: unknown;
  try {
    config = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw damaged(error.message, error);
    throw new RunDirectoryError(
      `"${path}" is not a run that can be resumed: cannot read ${file}; give --resume the folder that an earlier --out made, ` +
        `or begin the run again if it ended before it wrote that file`,
      { cause: error },
    );
  }
  if (!isOptions(config)) throw damaged(`${quoted(config)} is no object`);
  return config;
}

/** Whether `path` holds a run, or what is left of one. */
export async function holdsRun(path: string): Promise<boolean> {
  return (await entries(path)).some((entry) => RUN_FILES.has(entry));
}

/** Appends to the logs of a run, whose folder it has locked. Lines are written at once: a kill loses none that was reported. */
export class RunDirectory {
  readonly path: string;
  readonly #lock: RunLock;
  readonly #folder: Held;
  readonly #files = new Map<string, number>();
  #metrics: Held | undefined;
  #config: unknown;
  #failure: unknown;
  readonly #badSamples = new Set<string>();
  /** Until the first checkpoint of a run that goes on. */
  #resumption: Resumption | undefined;
  #tensorBoard: TensorBoardLog | undefined;

  private constructor(path: string, lock: RunLock) {
    this.path = path;
    this.#lock = lock;
    this.#folder = new Held(path);
  }

  /** Makes the folder of a new run and writes `config.json`. */
  static async create(path: string, config: unknown): Promise<RunDirectory> {
    await assertWritable(path);
    await mkdir(path, { recursive: true });
    const run = new RunDirectory(path, await RunLock.take(path));
    try {
      const problem = await runThere(path);
      if (problem !== undefined) throw new RunDirectoryError(problem);
      await clear(path);
      await run.writeConfig(config);
      return run;
    } catch (error) {
      await run.close();
      throw error;
    }
  }

  /** Opens the folder of a run to continue, and changes nothing yet. Throws a RunDirectoryError when another process trains there. */
  static async open(path: string): Promise<RunDirectory> {
    for (const name of [METRICS, BAD_SAMPLES]) {
      const found = await stat(join(path, name)).catch(() => undefined);
      if (found && !found.isFile())
        throw new RunDirectoryError(`"${join(path, name)}" is no file: expected the lines of a run; move it away`);
    }
    return new RunDirectory(path, await RunLock.take(path));
  }

  /** Gets ready to log what comes after `step` updates. What was logged beyond them stays until `settle`. */
  async continueAfter(step: number): Promise<void> {
    this.#resumption = { step, bytes: await endLastLine(join(this.path, METRICS)) };
    const bad = join(this.path, BAD_SAMPLES);
    if ((await endLastLine(bad)) > 0)
      for await (const line of createInterface({ input: createReadStream(bad) })) this.#badSamples.add(line);
  }

  /** From here on TensorBoard's event files have the lines of metrics, too. @param warn hears when they cannot be written */
  async logForTensorBoard(warn?: (message: string) => void): Promise<TensorBoardLog> {
    const start = { metrics: join(this.path, METRICS), ...given({ step: this.#resumption?.step }, ['step']) };
    this.#tensorBoard = await TensorBoardLog.begin(this.path, start, warn);
    return this.#tensorBoard;
  }

  /** Updates up to `step` of which the log has no line: the run had them, and somebody has cut the log since. */
  async missingUpdates(step: number): Promise<number> {
    return step - (await countUpdates(join(this.path, METRICS), step));
  }

  /** What has happened to the folder, so that nothing more may be written; undefined when all is well. */
  loss(): Loss | undefined {
    const changed = 'was moved, deleted or replaced while the run went on';
    if (this.#folder.state() !== 'there') return { problem: `"${this.path}" ${changed}`, ours: false };
    const lock = this.#lock.state();
    if (lock === 'replaced') return { problem: `"${this.path}" was taken over by another process, which trains there`, ours: false };
    if (lock === 'gone') return { problem: `the lock of "${this.path}" was removed, so that another process may train there`, ours: true };
    const metrics = this.#metrics?.state() ?? 'there';
    return metrics === 'there' ? undefined : { problem: `${join(this.path, METRICS)} ${changed}`, ours: true };
  }

  /** Throws a LostError when the folder is no longer what it was. */
  assertOurs(): void {
    const loss = this.loss();
    if (loss) throw new LostError(loss.problem);
  }

  /** A run with the same options in the folder's place, or beside it when another run is there. */
  async beside(): Promise<RunDirectory> {
    for (let n = 0; ; n++) {
      const path = n === 0 ? this.path : `${this.path}.rescued${n === 1 ? '' : `-${n}`}`;
      try {
        return await RunDirectory.create(path, this.#config);
      } catch (error) {
        if (!(error instanceof RunDirectoryError)) throw error;
      }
    }
  }

  /** Removes the lines of updates that have been made again. To be called when a checkpoint of this run is complete. */
  async settle(): Promise<void> {
    const resumption = this.#resumption;
    if (resumption === undefined) return;
    this.#resumption = undefined;
    await this.#tensorBoard?.settle();
    const file = this.#files.get(METRICS);
    if (file === undefined) return;
    this.#closeLogs();
    const path = join(this.path, METRICS);
    await settleMetrics(path, resumption).catch((error: unknown) => {
      throw this.#explained(path, error);
    });
  }

  /** Replaces `config.json`; without `config` by what it was. */
  async writeConfig(config: unknown = this.#config): Promise<void> {
    this.#config = config;
    await replaceFile(join(this.path, CONFIG), JSON.stringify(config, undefined, 2));
  }

  appendMetrics(line: StepMetrics | EvaluationMetrics): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.assertOurs();
    this.#append(METRICS, JSON.stringify(line));
    this.#tensorBoard?.append(line);
  }

  /** Notes a sample that was skipped; one that a resumed run meets again is noted once. */
  appendBadSample(sample: object): void {
    const line = JSON.stringify(sample);
    if (this.#badSamples.has(line)) return;
    this.#badSamples.add(line);
    // Whoever meets a bad sample cannot end the run: the next line of metrics does.
    if (this.loss()) return;
    try {
      this.#append(BAD_SAMPLES, line);
    } catch (error) {
      this.#failure ??= error;
    }
  }

  /** Makes the logs durable, so that none of their lines is missing from under a checkpoint. */
  sync(): void {
    for (const file of this.#files.values()) fsyncSync(file);
    this.#tensorBoard?.sync();
  }

  /** Gives the folder to whoever comes next. */
  async close(): Promise<void> {
    this.#closeLogs();
    this.#tensorBoard?.close();
    await this.#lock.release();
    this.#folder.close();
  }

  #closeLogs(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
    this.#metrics?.close();
    this.#metrics = undefined;
  }

  #append(name: string, line: string): void {
    const path = join(this.path, name);
    try {
      let file = this.#files.get(name);
      if (file === undefined) {
        file = openSync(path, 'a');
        this.#files.set(name, file);
        if (name === METRICS) this.#metrics = new Held(path);
      }
      appendFileSync(file, `${line}\n`);
    } catch (error) {
      throw this.#explained(path, error);
    }
  }

  #explained(path: string, error: unknown): unknown {
    if (!isFullDisk(error)) return error;
    return new Error(`No space left to append to ${path}: free some space and continue with --resume ${shellWord(this.path)}`, {
      cause: error,
    });
  }
}
