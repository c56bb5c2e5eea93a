/** The folder of a run: `config.json`, `metrics.jsonl`, `bad-samples.jsonl` and the checkpoints. */
import { appendFileSync, closeSync, fsyncSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './checkpoint.js';
import { errorCode, isFullDisk } from './error-code.js';

/** One update. */
export interface StepMetrics {
  /** Updates done, this one included. */
  readonly step: number;
  /** From 0. */
  readonly epoch: number;
  readonly loss: number;
  /** Unweighted InfoNCE terms, such as `gg.res5`. */
  readonly terms: Readonly<Record<string, number>>;
  readonly lr: number;
  readonly imagesPerSecond: number;
  /** Time spent waiting for the batch. */
  readonly dataWaitMs: number;
  /** Time from having the batch to having the loss. */
  readonly stepMs: number;
  /** Mean over dimensions of the standard deviation of the unit-norm queries; 1/sqrt(dimensions) when they are spread, 0 when they collapsed. */
  readonly featureStd: number;
}

/** One evaluation of the query encoder. */
export interface EvaluationMetrics {
  /** Updates done before it; 0 is the untrained network. */
  readonly step: number;
  readonly epoch: number;
  /** Share of right answers, [0, 1], with features of res5. */
  readonly knnTop1: number;
  /** The same for every stage that was asked for. */
  readonly knnTop1ByStage: Readonly<Record<string, number>>;
}

const CONFIG = 'config.json';
const METRICS = 'metrics.jsonl';
const BAD_SAMPLES = 'bad-samples.jsonl';
/** Any of these makes a folder a run. */
const RUN_FILES: ReadonlySet<string> = new Set([CONFIG, METRICS, 'checkpoints']);

/** Thrown when the folder that was asked for cannot be used; the message says which one can. */
export class RunDirectoryError extends Error {
  override name = 'RunDirectoryError';
}

async function entries(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    if (errorCode(error) === 'ENOTDIR')
      throw new RunDirectoryError(`"${path}" is a file: expected a folder for the run; choose another --out`, { cause: error });
    throw error;
  }
}

/** Throws a RunDirectoryError when `path` holds a run, or is a file. */
export async function assertNoRun(path: string): Promise<void> {
  const found = (await entries(path)).filter((entry) => RUN_FILES.has(entry));
  if (found.length > 0)
    throw new RunDirectoryError(
      `"${path}" already holds a run (${found.join(', ')}): continue it with --resume ${path}, or choose another --out`,
    );
}

/** Reads `config.json` of a run. Throws a RunDirectoryError when there is none. */
export async function readRunConfig(path: string): Promise<unknown> {
  const file = join(path, CONFIG);
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new RunDirectoryError(
      `"${path}" is not a run that can be resumed: cannot read ${file}; give --resume the folder that an earlier --out made`,
      {
        cause: error,
      },
    );
  }
}

/** Length in bytes of the leading complete lines that `keep` accepts; the first refused or unreadable line ends them. */
function keptBytes(text: Buffer, keep: (line: Record<string, unknown>) => boolean): number {
  let start = 0;
  for (;;) {
    const end = text.indexOf('\n', start);
    if (end === -1) return start;
    try {
      if (!keep(JSON.parse(text.toString('utf8', start, end)) as Record<string, unknown>)) return start;
    } catch {
      return start;
    }
    start = end + 1;
  }
}

/** Appends to the logs of a run. Lines are written at once: a kill loses none that was reported. */
export class RunDirectory {
  readonly path: string;
  readonly #files = new Map<string, number>();
  readonly #badSamples = new Set<string>();

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder of a new run and writes `config.json`. */
  static async create(path: string, config: unknown): Promise<RunDirectory> {
    await assertNoRun(path);
    await mkdir(path, { recursive: true });
    const run = new RunDirectory(path);
    await run.writeConfig(config);
    return run;
  }

  /** Opens the folder of a run to continue after `step` updates: what was logged after them is cut off, since it will be made again. */
  static async reopen(path: string, step: number): Promise<RunDirectory> {
    const run = new RunDirectory(path);
    const metrics = join(path, METRICS);
    if ((await stat(metrics).catch(() => undefined)) !== undefined)
      await truncate(
        metrics,
        keptBytes(await readFile(metrics), (line) => Number(line['step']) <= step),
      );

    const bad = join(path, BAD_SAMPLES);
    if ((await stat(bad).catch(() => undefined)) !== undefined) {
      const text = await readFile(bad);
      const kept = keptBytes(text, (line) => run.#badSamples.add(JSON.stringify(line)).size > 0);
      await truncate(bad, kept);
    }
    return run;
  }

  /** Replaces `config.json`. */
  async writeConfig(config: unknown): Promise<void> {
    await replaceFile(join(this.path, CONFIG), config);
  }

  appendMetrics(line: StepMetrics | EvaluationMetrics): void {
    this.#append(METRICS, JSON.stringify(line));
  }

  /** Notes a sample that was skipped; one that a resumed run meets again is noted once. */
  appendBadSample(sample: object): void {
    const line = JSON.stringify(sample);
    if (this.#badSamples.has(line)) return;
    this.#badSamples.add(line);
    this.#append(BAD_SAMPLES, line);
  }

  /** Makes the logs durable, so that none of their lines is missing from under a checkpoint. */
  sync(): void {
    for (const file of this.#files.values()) fsyncSync(file);
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #append(name: string, line: string): void {
    const path = join(this.path, name);
    try {
      let file = this.#files.get(name);
      if (file === undefined) {
        file = openSync(path, 'a');
        this.#files.set(name, file);
      }
      appendFileSync(file, `${line}\n`);
    } catch (error) {
      if (!isFullDisk(error)) throw error;
      throw new Error(`No space left to append to ${path}: free some space and continue with --resume ${this.path}`, { cause: error });
    }
  }
}
