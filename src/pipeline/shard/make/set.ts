/**
 * The folder of a set of shards, and the record in it from which an interrupted run goes on:
 *
 *     shards.jsonl   {"plan"}  {"total"}  {"shard":0,...}  {"shard":1,...} ...
 *
 * A shard counts as whole when it has its name and its line here. Whatever else a killed run has left (`*.tmp`, a shard
 * without a line, a torn line) is removed when the folder is opened again.
 */
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../source/source.js';
import { refuseShards, shardName } from '../write.js';
import { planDifferences, ShardPlanError, type ShardPlan } from './plan.js';

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

interface Line {
  readonly plan?: ShardPlan;
  /** Shards of the set, once that is known. */
  readonly total?: number;
  readonly record?: ShardRecord;
}

export const DIGITS = 6;
const RECORD = 'shards.jsonl';
const BAD = 'bad-samples.jsonl';

export class ShardSet {
  readonly dir: string;
  readonly prefix: string;
  /** Shards that are whole, by number. */
  readonly records = new Map<number, ShardRecord>();
  #total: number | undefined;

  private constructor(dir: string, prefix: string) {
    this.dir = dir;
    this.prefix = prefix;
  }

  /**
   * Begins a set in `dir`, or goes on with the one that is there.
   * @throws ShardPlanError when that one was begun with other options; ShardExistsError for shards without a record
   */
  static async open(dir: string, plan: ShardPlan): Promise<ShardSet> {
    await mkdir(dir, { recursive: true });
    const set = new ShardSet(dir, plan.prefix);
    const lines = await readLines(join(dir, RECORD));
    const then = lines[0]?.plan;
    if (!then) await refuseShards(dir, plan.prefix);
    else {
      const differences = planDifferences(then, plan);
      if (differences.length > 0) {
        throw new ShardPlanError(
          `${JSON.stringify(dir)} holds shards begun with other options (${differences.join('; ')}): expected the same, to go on; give those, empty the folder, or take another`,
        );
      }
    }
    for (const { total, record } of lines) {
      set.#total = total ?? set.#total;
      if (record && (await stat(set.path(record.shard)).catch(() => undefined))?.size === record.bytes) {
        set.records.set(record.shard, record);
      }
    }
    await set.#rewrite(plan);
    await set.#clean();
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
    return join(this.dir, shardName(this.prefix, shard, DIGITS));
  }

  async setTotal(total: number): Promise<void> {
    if (this.#total === total) return;
    this.#total = total;
    await this.#append({ total });
  }

  async add(record: ShardRecord): Promise<void> {
    this.records.set(record.shard, record);
    await this.#append({ record });
    await this.addBad(record.problems);
  }

  async addBad(problems: readonly BadImage[]): Promise<void> {
    if (problems.length > 0) await appendFile(join(this.dir, BAD), jsonLines(problems));
  }

  counts(): Counts {
    const sum = { images: 0, bad: 0, labelled: 0, resized: 0 };
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

  /** Without the lines of shards that have gone, or a torn one at the end. */
  async #rewrite(plan: ShardPlan): Promise<void> {
    const records = [...this.records.values()].toSorted((a, b) => a.shard - b.shard);
    const lines: Line[] = [
      { plan },
      ...(this.#total === undefined ? [] : [{ total: this.#total }]),
      ...records.map((record) => ({ record })),
    ];
    await replace(join(this.dir, RECORD), jsonLines(lines));
    const problems = records.flatMap((record) => record.problems);
    if (problems.length > 0) await replace(join(this.dir, BAD), jsonLines(problems));
    else await rm(join(this.dir, BAD), { force: true });
  }

  async #clean(): Promise<void> {
    const kept = new Set([...this.records.keys()].map((shard) => this.path(shard)));
    for (const name of await readdir(this.dir)) {
      const path = join(this.dir, name);
      const number = name.startsWith(`${this.prefix}-`) ? name.slice(this.prefix.length + 1) : '';
      if (/^\d+\.tar(\.tmp)?$/.test(number) && !kept.has(path)) await rm(path);
    }
  }
}

/** Writes a file whole or not at all. */
export async function replace(path: string, content: string): Promise<void> {
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
