/** Builds the indexes of a set of shards and says what is in it. */
import { mkdir, stat } from 'node:fs/promises';
import { PIPELINE_DEFAULTS } from '../options.js';
import { shuffleQuality, type ShuffleQuality } from '../plan/shuffle-quality.js';
import { ShardError } from './read.js';
import { mapInOrder } from './in-order.js';
import { indexShard, readIndex, writeIndex, type ShardIndex } from './shard-index.js';
import { SourceError } from '../source/index.js';
import { withoutPassword } from '../source/source.js';

export interface IndexShardsOptions {
  /** Folder of the indexes; made when absent. */
  readonly dir: string;
  /** Shards that are read at once. */
  readonly workers: number;
  /** Reads also the shards whose index is there. */
  readonly force?: boolean;
  /** Samples a batch, for the quality of the shuffle. */
  readonly batchSize: number;
  readonly signal?: AbortSignal;
  /** Called after each shard, in order. */
  readonly onShard?: (done: number) => void;
}

/** What a set of shards holds. */
export interface IndexReport {
  readonly shards: number;
  /** Shards whose index was there. */
  readonly kept: number;
  readonly samples: number;
  readonly bytes: number;
  /** Samples that the shards themselves say are bad. */
  readonly bad: number;
  readonly labels: LabelSummary;
  /** The shards of fewest and of most samples. */
  readonly smallest: ShardSize | undefined;
  readonly largest: ShardSize | undefined;
  /** Shards with less than nine tenths of the samples of the largest. */
  readonly uneven: number;
  readonly shuffle: ShuffleSummary;
  /** Shards that could not be read. */
  readonly failed: readonly { readonly shard: string; readonly problem: string }[];
}

export interface LabelSummary {
  /** Samples with one. */
  readonly labelled: number;
  readonly distinct: number;
  readonly lowest: number | undefined;
  readonly highest: number | undefined;
}

/** How the pipeline's default plan shuffles them, and the order in which they lie. */
export interface ShuffleSummary extends ShuffleQuality {
  readonly lanes: number;
  /** Samples in the shuffle buffer of a lane. */
  readonly buffer: number;
  readonly batchSize: number;
  /** Share of neighbours in a shard that have one label; near 1 when shards are sorted by class. */
  readonly sameLabel: number;
  /** The same for samples in random order. */
  readonly sameLabelByChance: number;
}

export interface ShardSize {
  readonly shard: string;
  readonly samples: number;
}

const EVEN = 0.9;

/**
 * Indexes the shards that have no index in `dir`, or one of a file that has another size now. A shard that cannot be read
 * does not stop the others; it is named in the report.
 * @throws the file system's error; the signal's reason
 */
export async function indexShards(
  locations: readonly string[],
  { dir, workers, force = false, batchSize, signal, onShard }: IndexShardsOptions,
): Promise<{ readonly report: IndexReport; readonly indexes: readonly ShardIndex[] }> {
  await mkdir(dir, { recursive: true });
  const indexes: ShardIndex[] = [];
  const failed: { shard: string; problem: string }[] = [];
  let kept = 0;
  let done = 0;
  const options = signal ? { signal } : {};
  const build = async (location: string): Promise<{ index: ShardIndex; kept: boolean } | { shard: string; problem: string }> => {
    signal?.throwIfAborted();
    const present = force ? undefined : await readIndex(dir, location);
    if (present && (await isCurrent(present, location))) return { index: present, kept: true };
    try {
      const index = await indexShard(location, options);
      await writeIndex(dir, index);
      return { index, kept: false };
    } catch (error) {
      if (error instanceof ShardError || error instanceof SourceError) return { shard: withoutPassword(location), problem: error.message };
      throw error;
    }
  };
  for await (const built of mapInOrder(locations, workers, build)) {
    if ('problem' in built) failed.push(built);
    else {
      indexes.push(built.index);
      kept += Number(built.kept);
    }
    onShard?.(++done);
  }
  return { report: { ...summarise(indexes, batchSize), kept, failed }, indexes };
}

/** Of a local shard: a remote one is not asked. */
async function isCurrent({ bytes }: ShardIndex, location: string): Promise<boolean> {
  const found = await stat(location).catch(() => undefined);
  return !found || found.size === bytes;
}

function summarise(indexes: readonly ShardIndex[], batchSize: number): Omit<IndexReport, 'kept' | 'failed'> {
  const labels = new LabelCount();
  let [samples, bytes, bad] = [0, 0, 0];
  let smallest: ShardSize | undefined;
  let largest: ShardSize | undefined;
  for (const index of indexes) {
    const size = { shard: index.location, samples: index.samples.length };
    samples += size.samples;
    bytes += index.bytes;
    if (!smallest || size.samples < smallest.samples) smallest = size;
    if (!largest || size.samples > largest.samples) largest = size;
    for (const { label, problem } of index.samples) {
      labels.add(label);
      bad += Number(problem !== undefined);
    }
  }
  const even = EVEN * (largest?.samples ?? 0);
  const uneven = indexes.filter((index) => index.samples.length < even).length;
  const shuffle = summariseShuffle(indexes, batchSize, labels.sameByChance());
  return { shards: indexes.length, samples, bytes, bad, labels: labels.summary(), smallest, largest, uneven, shuffle };
}

function summariseShuffle(indexes: readonly ShardIndex[], batchSize: number, sameLabelByChance: number): ShuffleSummary {
  const { lanes, shuffle: buffer } = PIPELINE_DEFAULTS;
  const counts = indexes.map((index) => index.samples.length);
  let [pairs, same] = [0, 0];
  for (const { samples } of indexes) {
    for (const [ordinal, { label }] of samples.entries()) {
      const before = samples[ordinal - 1]?.label;
      if (label === undefined || before === undefined) continue;
      pairs++;
      same += Number(label === before);
    }
  }
  const quality = shuffleQuality(counts, { lanes, shuffle: buffer, batchSize });
  return { ...quality, lanes, buffer, batchSize, sameLabel: pairs === 0 ? 0 : same / pairs, sameLabelByChance };
}

/** Which labels there are, and how many of each. */
export class LabelCount {
  readonly #counts = new Map<number, number>();
  #labelled = 0;

  add(label: number | undefined): void {
    if (label === undefined) return;
    this.#labelled++;
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + 1);
  }

  summary(): LabelSummary {
    const sorted = [...this.#counts.keys()].toSorted((a, b) => a - b);
    return { labelled: this.#labelled, distinct: sorted.length, lowest: sorted[0], highest: sorted.at(-1) };
  }

  /** Chance that two labelled samples have one label. */
  sameByChance(): number {
    const pairs = [...this.#counts.values()].reduce((sum, count) => sum + count * (count - 1), 0);
    return this.#labelled < 2 ? 0 : pairs / (this.#labelled * (this.#labelled - 1));
  }
}
