/**
 * `tensorboard/` of a run: event files that TensorBoard shows whole, with its default reader and with `--load_fast=false`, while the run
 * goes on and after any number of kills and resumes.
 *
 * Each start of a run has a file of its own, behind those of earlier starts in the order of names, in which TensorBoard reads them:
 *
 *     first start     version  START 0  0 1 2 3 4 5 6        killed; the newest checkpoint is of step 4
 *     second start    version  START 5  5 6 7 8
 *     checkpoint of step 8                                    the first file is cut behind 4
 *
 * At each START but the first, the reader in Python forgets what it has of that step and later ones. The default reader does so by itself,
 * at the first point that goes back. START is written together with that point, so that both show the same at any time. No file is replaced
 * or removed: a TensorBoard that has read it would go on showing its points.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { linesUpTo } from '../metrics-file.js';
import type { EvaluationMetrics, StepMetrics } from '../metrics.js';
import { image, type Moment, readEvent, scalars, startEvent, summaryEvent, versionEvent } from './event.js';
import { taggedNumbers } from './tags.js';
import { readRecords, record } from './tf-record.js';

/** Folder in that of the run. */
export const TENSORBOARD = 'tensorboard';
/** TensorBoard takes a file for one of events by its name. */
const NAME = /^events\.out\.tfevents\.(\d{10})\.detco$/;
/** Of a file that is made of lines that are there: written at once. */
const CHUNK_RECORDS = 4096;

/** A file of an earlier start that has more than the checkpoint. */
interface Beyond {
  readonly path: string;
  /** To which it is cut. */
  readonly bytes: number;
}

type Line = StepMetrics | EvaluationMetrics;

export interface LogStart {
  /** Updates that were done, -1 where a run begins again; absent for a new one. */
  readonly step?: number;
  /** Path of `metrics.jsonl`. */
  readonly metrics: string;
}

export class EventFiles {
  readonly #path: string;
  /** Updates that were done. */
  readonly #step: number;
  /** What comes with the first point of a later step. */
  readonly #head: Buffer[];
  /** Summaries of pictures that are still to be written. */
  readonly #pictures: Buffer[] = [];
  readonly #beyond: readonly Beyond[];
  /** What the earlier files have of the step at which the run goes on. */
  readonly #known: ReadonlySet<string>;
  #file: number | undefined;

  private constructor(path: string, step: number, beyond: readonly Beyond[] = [], known: ReadonlySet<string> = new Set()) {
    this.#path = path;
    this.#step = step;
    this.#head = [startOf(step)];
    this.#beyond = beyond;
    this.#known = known;
  }

  /**
   * Gets ready to log. A run that goes on and has no event files gets one of its lines so far.
   *
   * @param run its folder
   */
  static async begin(run: string, { step, metrics }: LogStart): Promise<EventFiles> {
    const folder = join(run, TENSORBOARD);
    await mkdir(folder, { recursive: true });
    const earlier = await eventFiles(folder);
    const seconds = Math.floor(Date.now() / 1000);
    if (step === undefined) return new EventFiles(nameAfter(folder, earlier, seconds), -1);
    if (earlier.length === 0) {
      const made = nameAfter(folder, earlier, seconds);
      if (await writeLines(made, linesUpTo(metrics, step))) earlier.push(made);
    }
    const beyond: Beyond[] = [];
    const known = new Set<string>();
    for (const path of earlier) {
      for await (const { start, data } of readRecords(path)) {
        const { step: at, summary } = readEvent(data);
        if (at > step) {
          beyond.push({ path, bytes: start });
          break;
        }
        if (at === step && summary) known.add(summary.toString('latin1'));
      }
    }
    return new EventFiles(nameAfter(folder, earlier, seconds), step, beyond, known);
  }

  /** Logs the numbers of a line. A kill loses none that was logged. */
  append(line: Line): void {
    const summary = scalars(taggedNumbers(line));
    // An evaluation that was logged before a kill, and made again after it.
    if (this.#known.has(summary.toString('latin1'))) return;
    this.#write(line, summary);
  }

  /** A picture, which is written with the next update: steps never go back within a file. */
  show(tag: string, png: Uint8Array): void {
    this.#pictures.push(image(tag, png));
  }

  /** Cuts from earlier files what has been made again. To be called when a checkpoint of this start is complete. */
  async settle(): Promise<void> {
    for (const { path, bytes } of this.#beyond) await truncate(path, bytes);
  }

  sync(): void {
    if (this.#file !== undefined) fsyncSync(this.#file);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #write(at: Moment, summary: Buffer): void {
    const events = [summaryEvent(at, summary)];
    // An evaluation of the step at which the run goes on is of what was there before.
    if (at.step > this.#step) events.unshift(...this.#head.splice(0), ...this.#pictures.splice(0).map((one) => summaryEvent(at, one)));
    if (this.#file === undefined) {
      this.#file = openSync(this.#path, 'ax');
      events.unshift(versionEvent(Date.now()));
    }
    writeSync(this.#file, Buffer.concat(events.map(record)));
  }
}

/** Where it goes on after `step` updates. */
function startOf(step: number): Buffer {
  return startEvent({ timeMs: Date.now(), step: step + 1 });
}

/** Removes those of a run, and nothing else that is there. @param run its folder */
export async function removeEventFiles(run: string): Promise<void> {
  const folder = join(run, TENSORBOARD);
  for (const path of await eventFiles(folder).catch(() => [])) await rm(path, { force: true });
}

async function eventFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names
    .filter((name) => NAME.test(name))
    .toSorted()
    .map((name) => join(folder, name));
}

/** A name behind all others: that of the time, unless the clock went back or is too coarse. */
function nameAfter(folder: string, earlier: readonly string[], seconds: number): string {
  const last = Math.max(0, ...earlier.map((path) => Number(/\d{10}(?=\.detco$)/.exec(path)?.[0])));
  return join(folder, `events.out.tfevents.${String(Math.max(seconds, last + 1)).padStart(10, '0')}.detco`);
}

/** Makes an event file of lines. @returns whether there were any */
async function writeLines(path: string, lines: AsyncIterable<unknown>): Promise<boolean> {
  const partial = join(path, '..', '.lines.partial');
  let events = [versionEvent(Date.now()), startOf(-1)];
  let some = false;
  try {
    const file = await open(partial, 'w');
    try {
      const flush = async () => {
        await file.writeFile(Buffer.concat(events.map(record)));
        events = [];
      };
      for await (const line of lines as AsyncIterable<Line>) {
        some = true;
        events.push(summaryEvent(line, scalars(taggedNumbers(line))));
        if (events.length === CHUNK_RECORDS) await flush();
      }
      await flush();
      await file.sync();
    } finally {
      await file.close();
    }
    if (some) await rename(partial, path);
    return some;
  } finally {
    await rm(partial, { force: true });
  }
}
