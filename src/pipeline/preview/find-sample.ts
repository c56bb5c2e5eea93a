/** Encoded images of a few samples of many shards. None is decoded, and where there is an index no other is read. */
import { counted } from '../../common/counted.js';
import { nearestNames } from '../../common/nearest.js';
import { quoted } from '../../common/quoted.js';
import { fetchImages } from '../shard/fetch.js';
import type { SampleFields } from '../shard/group.js';
import { readShard } from '../shard/read.js';
import { readIndex } from '../shard/shard-index.js';
import { SourceError } from '../source/index.js';

export interface FindOptions {
  /** Which members are images and labels. */
  readonly fields: SampleFields;
  /** Folder of shard indexes. */
  readonly indexDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A sample as it lies in a shard. */
export interface FoundSample {
  /** Ordinal of the shard in the list. */
  readonly shard: number;
  /** Ordinal of the sample in the shard. */
  readonly index: number;
  readonly key: string;
  readonly label?: number | undefined;
  readonly image: Buffer;
  /** Why it is a bad sample although the archive is sound. */
  readonly problem?: string | undefined;
}

/** Keys that are compared with one that is not found: to compare a million takes minutes. */
const MOST_COMPARED = 20_000;

/**
 * The first sample of a key, in the order of the shards.
 * @throws RangeError that names the nearest keys when no shard has it
 */
export async function sampleOfKey(shards: readonly string[], key: string, options: FindOptions): Promise<FoundSample> {
  const seen: string[] = [];
  let count = 0;
  const passes = (sample: { readonly key: string }): boolean => {
    count++;
    if (seen.length < MOST_COMPARED) seen.push(sample.key);
    return sample.key === key;
  };
  for (const [shard, location] of shards.entries()) {
    const found = await firstOf(location, options, passes);
    if (found) return { ...found, shard };
  }
  const near = nearestNames(key, [...new Set(seen)]).map(quoted);
  const guess = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `keys there are such as ${quoted(seen[0] ?? '')}.`;
  throw new RangeError(
    `none of the ${counted(count, 'sample')} of ${counted(shards.length, 'shard')} has the key ${quoted(key)}; ${guess} ` +
      'Expected the name of a member up to the first dot, with its folder',
  );
}

/** The first sample of a shard that `passes`, which is asked of each until then. */
async function firstOf(
  location: string,
  { fields, indexDir, signal }: FindOptions,
  passes: (sample: { readonly key: string }) => boolean,
): Promise<Omit<FoundSample, 'shard'> | undefined> {
  const reading = { fields, ...(signal && { signal }) };
  const known = indexDir === undefined ? undefined : await readIndex(indexDir, location, fields);
  if (known === undefined || indexDir === undefined) {
    for await (const sample of readShard(location, reading)) if (passes(sample)) return sample;
    return undefined;
  }
  const index = known.samples.findIndex(passes);
  const entry = known.samples[index];
  if (!entry) return undefined;
  const { key, label, problem } = entry;
  const [image] = entry.problem === undefined ? fetchImages([{ location, entry }], { ...reading, indexDir }) : [];
  return { index, key, label, problem, image: (await image) ?? Buffer.alloc(0) };
}

/** Images of samples whose places are known, in their order. */
export async function imagesOf(
  shards: readonly string[],
  places: readonly Pick<FoundSample, 'shard' | 'index'>[],
  options: FindOptions,
): Promise<Buffer[]> {
  const images: Buffer[] = [];
  for (const [shard, location] of shards.entries()) {
    const wanted = places.flatMap((place, at) => (place.shard === shard ? [{ index: place.index, at }] : []));
    if (wanted.length === 0) continue;
    const found = await imagesOfShard(location, new Set(wanted.map(({ index }) => index)), options);
    for (const { index, at } of wanted) {
      const image = found.get(index);
      if (!image) throw new SourceError(location, `lacks sample ${index}, which it had a moment ago; draw the views again`);
      images[at] = image;
    }
  }
  return images;
}

async function imagesOfShard(
  location: string,
  wanted: ReadonlySet<number>,
  { fields, indexDir, signal }: FindOptions,
): Promise<Map<number, Buffer>> {
  const reading = { fields, ...(signal && { signal }) };
  const known = indexDir === undefined ? undefined : await readIndex(indexDir, location, fields);
  const found = new Map<number, Buffer>();
  if (known && indexDir !== undefined) {
    const entries = known.samples.map((entry, index) => ({ location, entry, index })).filter(({ index }) => wanted.has(index));
    const fetched = await Promise.all(fetchImages(entries, { ...reading, indexDir }));
    for (const [i, { index }] of entries.entries()) found.set(index, fetched[i] ?? Buffer.alloc(0));
    return found;
  }
  for await (const { index, image } of readShard(location, reading)) {
    if (wanted.has(index)) found.set(index, image);
    if (found.size === wanted.size) break;
  }
  return found;
}
