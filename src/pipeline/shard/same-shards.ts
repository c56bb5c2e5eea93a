/**
 * Whether the shards of a resume are those of the run, wherever they lie by then.
 *
 *     name, in order   another is an error
 *     size             another is an error, where both are known
 *     version          of a shard that has not moved: another is a question of its content
 *     content          by the checksums of its index: all of a shard with another version, one sample of a shard that has moved
 *
 * A version alone proves nothing: a file that is copied has another time, an object that is uploaded in other parts another ETag.
 */
import { counted } from '../../common/counted.js';
import { identityOf, shardName } from '../source/identity.js';
import { type FoundShard, SourceError, type OpenOptions } from '../source/index.js';
import { fetchImages } from './fetch.js';
import type { SampleFields } from './group.js';
import { mapInOrder } from './in-order.js';
import { type IndexedSample, readIndex, writeIndex } from './shard-index.js';

/** What is asked of each shard and must hold at a resume; see `PipelineOptions.checkShards`. */
export const CHECK_SHARDS = ['versions', 'sizes', 'none'] as const;
/** What of a shard is compared at a resume: its version (time or ETag), its size, or nothing. */
export type CheckShards = (typeof CHECK_SHARDS)[number];

export interface CompareOptions extends Pick<OpenOptions, 'signal' | 'onRetry'> {
  readonly check: CheckShards;
  readonly indexDir: string | undefined;
  /** Which members the indexes take for images and labels. */
  readonly fields: SampleFields | undefined;
  /** Ordinals of shards of which names alone are compared. */
  readonly skipped?: ReadonlySet<number>;
  readonly onRewritten?: (rewritten: RewrittenShards) => void;
}

/** Shards that have another version than the run knew, and their size in all. */
export interface RewrittenShards {
  readonly shards: number;
  readonly bytes: number;
}

/** What the shards of a resume have in common with those of the run. */
export interface ComparedShards {
  readonly shards: number;
  /** Shards that lie elsewhere. */
  readonly moved: number;
  /** Shards of which the size was compared. */
  readonly sizes: number;
  /** Shards in their old place that have their old version. */
  readonly versions: number;
  /** Shards in their old place that have another version, of which every image was read and has its old checksum. */
  readonly contents: number;
  /** Shards that have moved, of which one image was read and has its old checksum. */
  readonly samples: number;
}

/** Shards of which images are read at the same time, and images of one that are in memory at once. */
const PARALLEL = 4;
const IMAGES = 64;

interface Pair {
  readonly was: FoundShard;
  readonly is: FoundShard;
  readonly moved: boolean;
}

/**
 * @param before the shards of the run
 * @param now the shards that were found this time
 * @throws SourceError naming the first shard that is another, what it was and what it is, and how many are
 */
export async function compareShards(
  before: readonly FoundShard[],
  now: readonly FoundShard[],
  options: CompareOptions,
): Promise<ComparedShards> {
  const pairs = pairUp(before, now).filter((_, i) => !options.skipped?.has(i));
  const sized = pairs.filter(({ was, is }) => was.bytes !== undefined && is.bytes !== undefined);
  const resized = sized.filter(({ was, is }) => was.bytes !== is.bytes);
  refuse(resized, pairs, ({ was, is }) => `has ${is.bytes} bytes, it had ${was.bytes}`);

  const moved = pairs.filter((pair) => pair.moved);
  const known = pairs.filter((pair) => !pair.moved && pair.was.version !== undefined && pair.is.version !== undefined);
  const rewritten = options.check === 'versions' ? known.filter(({ was, is }) => was.version !== is.version) : [];
  const refuseUnknown = (withIndex: ReadonlySet<Pair>): void =>
    refuse(
      rewritten.filter((pair) => !withIndex.has(pair)),
      pairs,
      ({ was, is }) =>
        `was written again (${was.version} -> ${is.version}), and no index tells whether its content is the same; ` +
        "if you know that it is, go on with checkShards 'sizes' (--check-shards sizes)",
    );
  // Before hours of reading.
  refuseUnknown(await thoseWithIndex(rewritten, options));
  const samples = await compareContents(moved, options);
  if (rewritten.length > 0)
    options.onRewritten?.({ shards: rewritten.length, bytes: rewritten.reduce((sum, { is }) => sum + (is.bytes ?? 0), 0) });
  const contents = await compareContents(rewritten, options);
  refuseUnknown(contents);
  return {
    shards: pairs.length,
    moved: moved.length,
    sizes: sized.length,
    versions: known.length - rewritten.length,
    contents: contents.size,
    samples: samples.size,
  };
}

function pairUp(before: readonly FoundShard[], now: readonly FoundShard[]): Pair[] {
  const names = [before, now].map((shards) => shards.map(({ location }) => shardName(location)));
  const [were = [], are = []] = names;
  for (let i = 0; i < Math.max(before.length, now.length); i++) {
    if (were[i] === are[i]) continue;
    throw new SourceError(
      (now[i] ?? before[i])?.location ?? '',
      `the run began with other shards: shard ${i} is ${are[i] ?? 'missing'}, it was ${were[i] ?? 'none'} ` +
        `(${counted(now.length, 'shard')}, they were ${before.length}); name the same shards in the same order, or start another run`,
    );
  }
  return now.flatMap((is, i) => {
    const was = before[i];
    return was ? [{ was, is, moved: identityOf(was.location) !== identityOf(is.location) }] : [];
  });
}

function refuse(others: readonly Pair[], pairs: readonly Pair[], problemOf: (pair: Pair) => string): void {
  const [first] = others;
  if (!first) return;
  const { is, was, moved } = first;
  const place = moved ? ` (at ${identityOf(was.location)})` : '';
  const count = others.length === 1 ? '' : `; so it is with ${others.length} of ${pairs.length} shards`;
  throw new SourceError(is.location, `${problemOf(first)}${place}${count}; put the old data back, or start another run`);
}

async function thoseWithIndex(pairs: readonly Pair[], { indexDir, fields, signal }: CompareOptions): Promise<Set<Pair>> {
  const found = new Set<Pair>();
  if (indexDir === undefined) return found;
  const look = async (pair: Pair): Promise<void> => {
    signal?.throwIfAborted();
    if (await readIndex(indexDir, pair.was.location, fields)) found.add(pair);
  };
  for await (const _ of mapInOrder(pairs, PARALLEL, look));
  return found;
}

/** @returns the pairs that have an index, by which their content was compared; that of a shard that has moved serves it in its place */
async function compareContents(pairs: readonly Pair[], { check, indexDir, fields, signal, onRetry }: CompareOptions): Promise<Set<Pair>> {
  const compared = new Set<Pair>();
  if (indexDir === undefined) return compared;
  const reading = { indexDir, fields, ...(signal && { signal }), ...(onRetry && { onRetry }) };
  const compare = async (pair: Pair): Promise<void> => {
    signal?.throwIfAborted();
    const { was, is, moved } = pair;
    const index = await readIndex(indexDir, was.location, fields);
    if (!index) return;
    if (check === 'versions') {
      const sound = index.samples.filter(({ problem }) => problem === undefined);
      for (const samples of moved ? [sound.slice(-1)] : blocks(sound)) {
        const requests = samples.map((entry) => ({ location: is.location, entry }));
        await Promise.all(fetchImages(requests, reading));
      }
      compared.add(pair);
    }
    if (moved) await writeIndex(indexDir, { ...index, location: identityOf(is.location) });
  };
  for await (const _ of mapInOrder(pairs, PARALLEL, compare));
  return compared;
}

function blocks(samples: readonly IndexedSample[]): IndexedSample[][] {
  return Array.from({ length: Math.ceil(samples.length / IMAGES) }, (_, i) => samples.slice(i * IMAGES, (i + 1) * IMAGES));
}
