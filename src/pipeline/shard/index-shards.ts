/** Builds the indexes of a set of shards and says what is in it. */
import { mkdir, stat } from 'node:fs/promises';
import { PIPELINE_DEFAULTS } from '../defaults.js';
import { shuffleQuality, type ShuffleQuality } from '../plan/shuffle-quality.js';
import type { SampleFields } from './group.js';
import type { LeftOutCount, LeftOutKind } from './left-out.js';
import { ShardError } from './shard-error.js';
import { mapInOrder } from './in-order.js';
import { indexShard, readIndex, writeIndex, type ShardIndex } from './shard-index.js';
import { type CacheFolder, SourceError } from '../source/index.js';
import { identityOf } from '../source/identity.js';

export interface IndexShardsOptions {
  /** Folder of the indexes; made when absent. */
  readonly dir: string;
  /** Which members are images and labels. */
  readonly fields?: SampleFields;
  /** Shards that are read at once. */
  readonly workers: number;
  /** Reads also the shards whose index is there. */
  readonly force?: boolean;
  /** Samples a batch, for the quality of the shuffle. */
  readonly batchSize: number;
  /** Keeps the shards that are read from a server. */
  readonly cache?: CacheFolder;
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
  /** What the shards hold that is part of no sample. */
  readonly leftOut: readonly Pick<LeftOutCount, 'kind' | 'count'>[];
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
  { dir, fields, workers, force = false, batchSize, cache, signal, onShard }: IndexShardsOptions,
): Promise<IndexReport> {
  await mkdir(dir, { recursive: true });
  const summary = new Summary();
  const failed: { shard: string; problem: string }[] = [];
  let kept = 0;
  let done = 0;
  const options = { fields, ...(cache && { cache }), ...(signal && { signal }) };
  const build = async (location: string): Promise<{ index: ShardIndex; kept: boolean } | { shard: string; problem: string }> => {
    signal?.throwIfAborted();
    const present = force ? undefined : await readIndex(dir, location, fields);
    if (present && (await isCurrent(present, location))) return { index: present, kept: true };
    try {
      const index = await indexShard(location, options);
      await writeIndex(dir, index);
      return { index, kept: false };
    } catch (error) {
      if (error instanceof ShardError || error instanceof SourceError) return { shard: identityOf(location), problem: error.message };
      throw error;
    }
  };
  for await (const built of mapInOrder(locations, workers, build)) {
    if ('problem' in built) failed.push(built);
    else {
      summary.add(built.index);
      kept += Number(built.kept);
    }
    onShard?.(++done);
  }
  return { ...summary.report(batchSize), kept, failed };
}

/** Of a local shard: a remote one is not asked. */
async function isCurrent({ bytes }: ShardIndex, location: string): Promise<boolean> {
  const found = await stat(location).catch(() => undefined);
  return !found || found.size === bytes;
}

/** What is kept of the indexes for the report: a few numbers a shard, whatever the number of samples. */
class Summary {
  readonly #labels = new LabelCount();
  readonly #shards: ShardSize[] = [];
  #bytes = 0;
  #bad = 0;
  readonly #leftOut = new Map<LeftOutKind, number>();
  /** Neighbours that both have a label, and those of them that have the same. */
  #pairs = 0;
  #same = 0;

  add({ location, bytes, samples, leftOut }: ShardIndex): void {
    for (const { kind, count } of leftOut) this.#leftOut.set(kind, (this.#leftOut.get(kind) ?? 0) + count);
    this.#shards.push({ shard: location, samples: samples.length });
    this.#bytes += bytes;
    let before: number | undefined;
    for (const { label, problem } of samples) {
      this.#labels.add(label);
      this.#bad += Number(problem !== undefined);
      if (label !== undefined && before !== undefined) {
        this.#pairs++;
        this.#same += Number(label === before);
      }
      before = label;
    }
  }

  report(batchSize: number): Omit<IndexReport, 'kept' | 'failed'> {
    const shards = this.#shards;
    const [first] = shards;
    const smallest = first && shards.reduce((least, one) => (one.samples < least.samples ? one : least), first);
    const largest = first && shards.reduce((most, one) => (one.samples > most.samples ? one : most), first);
    const even = EVEN * (largest?.samples ?? 0);
    const { lanes, shuffle: buffer } = PIPELINE_DEFAULTS;
    const counts = shards.map(({ samples }) => samples);
    return {
      shards: shards.length,
      samples: counts.reduce((sum, count) => sum + count, 0),
      bytes: this.#bytes,
      bad: this.#bad,
      leftOut: [...this.#leftOut].map(([kind, count]) => ({ kind, count })),
      labels: this.#labels.summary(),
      smallest,
      largest,
      uneven: counts.filter((count) => count < even).length,
      shuffle: {
        ...shuffleQuality(counts, { lanes, shuffle: buffer, batchSize }),
        lanes,
        buffer,
        batchSize,
        sameLabel: this.#pairs === 0 ? 0 : this.#same / this.#pairs,
        sameLabelByChance: this.#labels.sameByChance(),
      },
    };
  }
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
