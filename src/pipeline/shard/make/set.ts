/**
 * The folder of a set of shards, and the record in it from which an interrupted run goes on:
 *
 *     shards.jsonl   {"plan"}  {"reading"} ...  {"total"}  {"record"}  {"record"} ...
 *
 * A shard counts as whole when it has its name and its line here. Whatever else a killed run has left (`*.tar.tmp`, a
 * shard without a line, a torn line) is removed when the folder is opened again.
 */
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../../common/error-code.js';
import { refuseShards, shardName } from '../write.js';
import type { LeftOutCount } from '../left-out.js';
import type { LooseImages } from './listed.js';
import type { Place } from './archives.js';
import { planDifferences, ShardPlanError, type ShardPlan } from './plan.js';
import type { SpoolSize } from './spool.js';
import { quoted } from '../../../common/quoted.js';

/** An image that is left out. */
export interface BadImage {
  /** Path of the image, or of the archive that holds it. */
  readonly source: string;
  readonly key: string;
  /** Byte of the archive at which the image's tar header begins. */
  readonly offset?: number;
  readonly reason: string;
}

/** Sums over images. */
export interface Counts {
  /** Those written. */
  readonly images: number;
  readonly bad: number;
  readonly labelled: number;
  readonly resized: number;
}

export interface ShardRecord extends Counts {
  readonly shard: number;
  readonly bytes: number;
  readonly problems: readonly BadImage[];
}

/** How far an archive has been read. */
export interface Reading {
  /** The first sample that is in no spool. */
  readonly next: Place;
  /** Those before it, the bad ones included. */
  readonly samples: number;
  readonly spools: readonly SpoolSize[];
  /** Whether nothing is left to read. */
  readonly done: boolean;
  /** Bad images since the line before. */
  readonly problems: readonly BadImage[];
  /** What was left out of the archives up to there, in all. */
  readonly leftOut: readonly ArchiveLeftOut[];
}

/** Members of archives that are no images of the set, for one reason. */
export interface ArchiveLeftOut extends LeftOutCount {
  /** The archive that holds the first. */
  readonly source: string;
}

/** A set that is whole. */
export interface MadeShards {
  readonly set: ShardSet;
  readonly classes: readonly string[];
  /** Shards that an earlier run had written. */
  readonly kept: number;
  /** Files of a folder that are no images by their name. */
  readonly ignored: number;
  readonly loose?: LooseImages;
  readonly leftOut: readonly ArchiveLeftOut[];
}

interface Line {
  readonly plan?: ShardPlan;
  /** Shards of the set, once that is known. */
  readonly total?: number;
  readonly record?: ShardRecord;
  readonly reading?: Reading;
}

/** Whether images were written to a shard or a spool. */
function holdsImages({ record, reading }: Line): boolean {
  return (record?.images ?? 0) > 0 || (reading?.spools ?? []).some(([, samples]) => samples > 0);
}

export const DIGITS = 6;
const RECORD = 'shards.jsonl';
const BAD = 'bad-samples.jsonl';

export class ShardSet {
  readonly dir: string;
  readonly plan: ShardPlan;
  /** Shards that are whole, by number. */
  readonly records = new Map<number, ShardRecord>();
  #total: number | undefined;
  #reading: Reading | undefined;

  private constructor(dir: string, plan: ShardPlan) {
    this.dir = dir;
    this.plan = plan;
  }

  /**
   * Begins a set in `dir`, or goes on with the one that is there. `classes` are the names of labels 0, 1, ... if there are any.
   * @throws ShardPlanError when that one was begun with other options; ShardExistsError for shards without a record
   */
  static async open(dir: string, plan: ShardPlan, classes: readonly string[]): Promise<ShardSet> {
    await mkdir(dir, { recursive: true });
    const set = new ShardSet(dir, plan);
    let lines = await readLines(join(dir, RECORD));
    const then = lines[0]?.plan;
    if (!then) await refuseShards(dir, plan.prefix);
    else {
      const differences = planDifferences(then, plan);
      // Options of which nothing came must not be in the way of better ones. Shards of another prefix may be another set's.
      if (differences.length > 0 && then.prefix === plan.prefix && !lines.some(holdsImages)) lines = [];
      else if (differences.length > 0) {
        throw new ShardPlanError(
          `${quoted(dir)} holds shards begun with other options (${differences.join('; ')}): expected the same, to go on; give those, empty the folder, or take another`,
        );
      }
    }
    for (const { total, record, reading } of lines) {
      if (reading) set.#reading = { ...reading, problems: [...(set.#reading?.problems ?? []), ...reading.problems] };
      set.#total = total ?? set.#total;
      if (record && (await stat(set.path(record.shard)).catch(() => undefined))?.size === record.bytes) {
        set.records.set(record.shard, record);
      }
    }
    await set.#rewrite();
    await set.#clean();
    if (classes.length > 0) await replace(join(dir, 'classes.txt'), `${classes.join('\n')}\n`);
    return set;
  }

  /** Number of shards; undefined while the images are still being counted. */
  get total(): number | undefined {
    return this.#total;
  }

  get whole(): boolean {
    return this.records.size === this.#total;
  }

  path(shard: number): string {
    return join(this.dir, shardName(this.plan.prefix, shard, DIGITS));
  }

  async setTotal(total: number): Promise<void> {
    if (this.#total === total) return;
    this.#total = total;
    await this.#append({ total });
  }

  async add(record: ShardRecord): Promise<void> {
    this.records.set(record.shard, record);
    await this.#append({ record });
    await this.#addBad(record.problems);
  }

  /** How far the archives of the source have been read, with all bad images so far. */
  get reading(): Reading | undefined {
    return this.#reading;
  }

  /** Records that what is before `reading.next` is in the spools; `problems` are those since the last time. */
  async setReading(reading: Reading): Promise<void> {
    await this.#append({ reading });
    await this.#addBad(reading.problems);
    this.#reading = { ...reading, problems: [...(this.#reading?.problems ?? []), ...reading.problems] };
  }

  /** Begins to read anew: the spools have gone. */
  async forgetReading(): Promise<void> {
    this.#reading = undefined;
    await this.#rewrite();
  }

  async #addBad(problems: readonly BadImage[]): Promise<void> {
    if (problems.length > 0) await appendFile(join(this.dir, BAD), jsonLines(problems));
  }

  counts(): Counts {
    const sum = { images: 0, bad: this.#reading?.problems.length ?? 0, labelled: 0, resized: 0 };
    for (const record of this.records.values()) {
      sum.images += record.images;
      sum.bad += record.bad;
      sum.labelled += record.labelled;
      sum.resized += record.resized;
    }
    return sum;
  }

  #append(line: Line): Promise<void> {
    return appendFile(join(this.dir, RECORD), jsonLines([line]));
  }

  /** Without the lines of shards that have gone, or a torn one at the end, and with one line for all that has been read. */
  async #rewrite(): Promise<void> {
    const records = [...this.records.values()].toSorted((a, b) => a.shard - b.shard);
    const lines: Line[] = [
      { plan: this.plan },
      ...(this.#reading ? [{ reading: this.#reading }] : []),
      ...(this.#total === undefined ? [] : [{ total: this.#total }]),
      ...records.map((record) => ({ record })),
    ];
    await replace(join(this.dir, RECORD), jsonLines(lines));
    const problems = [...(this.#reading?.problems ?? []), ...records.flatMap((record) => record.problems)];
    if (problems.length > 0) await replace(join(this.dir, BAD), jsonLines(problems));
    else await rm(join(this.dir, BAD), { force: true });
  }

  async #clean(): Promise<void> {
    const kept = new Set([...this.records.keys()].map((shard) => this.path(shard)));
    for (const name of await readdir(this.dir)) {
      const path = join(this.dir, name);
      const number = name.startsWith(`${this.plan.prefix}-`) ? name.slice(this.plan.prefix.length + 1) : '';
      if (/^\d+\.tar(\.tmp)?$/.test(number) && !kept.has(path)) await rm(path);
    }
  }
}

/** Writes a file whole or not at all. */
async function replace(path: string, content: string): Promise<void> {
  await writeFile(`${path}.tmp`, content);
  await rename(`${path}.tmp`, path);
}

function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}

/** The lines of a record up to the first that is torn. */
async function readLines(path: string): Promise<Line[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  const lines: Line[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    try {
      lines.push(JSON.parse(line) as Line);
    } catch {
      break;
    }
  }
  return lines;
}
