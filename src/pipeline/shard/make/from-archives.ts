/**
 * Tar archives -> shards. They are read once, from front to back, into spools; the spools are cut into shards. Going on
 * after a kill begins at the first sample that is in no spool, at its byte of the archive, or with the missing shards.
 */
import { createHash } from 'node:crypto';
import { Random, streamId } from '../../../common/random.js';
import { identityOf } from '../../source/identity.js';
import { type Archive, type ArchivedSample, listArchives, type Place, readArchives } from './archives.js';
import { DecodeRoom, defaultDecodeMemory } from '../../worker/decode-room.js';
import { type PreparedSample, prepareSample } from './image.js';
import { mapInOrder } from '../in-order.js';
import type { MakeShardsOptions } from './options.js';
import { firstOf, planOf, shardCount, ShardPlanError } from './plan.js';
import { ArchivesLeftOut, archiveLeftOutInWords } from './left-out.js';
import { type BadImage, type MadeShards, ShardSet } from './set.js';
import { hasSpool, readSpool, removeSpools, SpoolWriter, type SpoolSize } from './spool.js';
import { type Outcome, writeShards } from './write-set.js';
import { quoted } from '../../../common/quoted.js';

/** Spools of a shuffle. Each is a fair part of all classes, and 128 parts of ImageNet fit in memory one at a time. */
const SPOOLS = 128;
/** Samples in a spool when the order is kept. */
const SPOOL_SAMPLES = 4096;
/** Also the memory that waits to be appended; 0.5 MB at a time to each spool. */
const CHECKPOINT_BYTES = 64 << 20;
/** Of the work, by time: decoding against copying. */
const READING_SHARE = 0.9;

const SPOOL_STREAM = streamId('spools');
const ORDER_STREAM = streamId('spool order');

export async function fromArchives(options: MakeShardsOptions, source: string): Promise<MadeShards> {
  const { archives, classes } = await listArchives(source, options.signal);
  const listing = createHash('sha256');
  for (const { location, ...range } of archives) listing.update(`${identityOf(location)}\t${JSON.stringify(range)}\n`);
  const set = await ShardSet.open(options.dir, planOf(options, source, listing.digest('hex')), classes);
  const kept = set.records.size;
  if (!set.whole) {
    if (!(await canGoOn(set))) await set.forgetReading();
    if (!set.reading?.done) await fillSpools(set, archives, options);
    await cutSpools(set, set.reading?.spools ?? [], options);
  }
  await removeSpools(options.dir, () => false);
  return { set, classes, kept, ignored: 0, leftOut: set.reading?.leftOut ?? [] };
}

/** Whether every spool that will be read again is there. */
async function canGoOn(set: ShardSet): Promise<boolean> {
  if (!set.reading) return false;
  const { spools, done } = set.reading;
  const ends = spoolEnds(spools);
  const needed = done ? neededFrom(set, ends) : () => true;
  for (const [spool, size] of spools.entries()) if (needed(spool) && !(await hasSpool(set.dir, spool, size))) return false;
  return true;
}

async function fillSpools(set: ShardSet, archives: readonly Archive[], options: MakeShardsOptions): Promise<void> {
  const { dir, seed, workers, signal, onProgress, checkpointBytes = CHECKPOINT_BYTES } = options;
  const writer = await SpoolWriter.open(dir, set.reading?.spools ?? []);
  const spoolOf = seed === undefined ? (ordinal: number) => Math.floor(ordinal / SPOOL_SAMPLES) : dealer(seed);
  let problems: BadImage[] = [];
  const leftOut = new ArchivesLeftOut(archives, set.reading?.leftOut ?? []);
  let samples = set.reading?.samples ?? 0;
  const record = async (next: Place, done: boolean): Promise<void> => {
    await set.setReading({ next, samples, spools: await writer.flush(), done, problems, leftOut: leftOut.before(next) });
    problems = [];
  };
  const begin = set.reading?.next ?? { archive: 0, start: archives[0]?.start ?? 0, index: 0 };
  const progress = byteProgress(archives);
  const room = new DecodeRoom(options.decodeMemory ?? defaultDecodeMemory());
  const read = readArchives(archives, begin, (archive, one) => leftOut.add(archive, one), signal);
  for await (const { place, prepared } of mapInOrder(read, workers, (item) => prepare(item, archives, options, room))) {
    signal?.throwIfAborted();
    if (writer.pendingBytes >= checkpointBytes) await record(place, false);
    if (prepared.members) writer.add(spoolOf(samples), { members: prepared.members, resized: prepared.resized });
    if (prepared.bad) problems.push(prepared.bad);
    samples++;
    onProgress?.({ images: samples, share: READING_SHARE * progress(place) });
  }
  const end = { archive: archives.length, start: 0, index: 0 };
  if (samples === 0) {
    const others = leftOut.before(end).filter(({ kind }) => kind !== 'shard without sample');
    const held = others.map((one) => `; ${archiveLeftOutInWords(one)}`).join('');
    throw new ShardPlanError(`${quoted(options.source)} has no image; expected members named .jpg, .jpeg, .png or .webp${held}`);
  }
  await record(end, true);
}

async function prepare(
  { place, key, sample }: ArchivedSample,
  archives: readonly Archive[],
  options: MakeShardsOptions,
  room: DecodeRoom,
): Promise<{ readonly place: Place; readonly prepared: PreparedSample }> {
  const { image, offset, label, problem } = sample;
  const source = identityOf(archives[place.archive]?.location ?? '');
  if (problem !== undefined) return { place, prepared: { bad: { source, key, offset, reason: problem }, resized: false } };
  const read = (): Promise<Uint8Array> => Promise.resolve(image);
  return { place, prepared: await prepareSample({ source, key, offset, ...(label !== undefined && { label }), read }, options, room) };
}

/** Deals samples to spools, one to each in a random order and again: even counts, and each spool sees every class. */
function dealer(seed: number): (ordinal: number) => number {
  let round = -1;
  let order: ArrayLike<number> = [];
  return (ordinal) => {
    const of = Math.floor(ordinal / SPOOLS);
    if (of !== round) order = new Random(seed, of, 0, 0, SPOOL_STREAM).permutation(SPOOLS);
    round = of;
    return order[ordinal % SPOOLS] as number;
  };
}

/** Cuts the spools, one after another, into the shards that are missing. */
async function cutSpools(
  set: ShardSet,
  spools: readonly SpoolSize[],
  { perShard, seed, signal, onProgress }: MakeShardsOptions,
): Promise<void> {
  const ends = spoolEnds(spools);
  const images = ends.at(-1) ?? 0;
  const shards = shardCount(images, perShard);
  await set.setTotal(shards);
  const needed = neededFrom(set, ends);
  async function* missing(): AsyncGenerator<Outcome, void, undefined> {
    let shard = 0;
    for (const [spool, end] of ends.entries()) {
      const first = ends[spool - 1] ?? 0;
      if (first === end || !needed(spool)) continue;
      const order = seed === undefined ? undefined : new Random(seed, spool, 0, 0, ORDER_STREAM).permutation(end - first);
      const shardOf = (place: number): number => {
        while (place >= firstOf(shard + 1, shards, images)) shard++;
        return shard;
      };
      const places: number[] = [];
      for (let place = first; place < end; place++) if (!set.records.has(shardOf(place))) places.push(place);
      shard = 0;
      let at = 0;
      const ordinals = places.map((place) => order?.[place - first] ?? place - first);
      for await (const { members, resized } of readSpool(set.dir, spool, () => ordinals)) {
        yield { shard: shardOf(places[at++] as number), members, resized };
      }
    }
  }
  let done = set.counts().images;
  await writeShards(set, missing(), {
    ...(signal && { signal }),
    onImage: () => onProgress?.({ images, share: READING_SHARE + ((1 - READING_SHARE) * ++done) / images }),
    onShard: () => removeSpools(set.dir, neededFrom(set, ends)),
  });
}

/** Where each spool ends in the order of all images. */
function spoolEnds(spools: readonly SpoolSize[]): number[] {
  let end = 0;
  return spools.map(([, samples]) => (end += samples));
}

/** Tells of a spool whether a missing shard takes from it. */
function neededFrom(set: ShardSet, ends: readonly number[]): (spool: number) => boolean {
  const images = ends.at(-1) ?? 0;
  const shards = shardCount(images, set.plan.perShard);
  const missing: (readonly [first: number, end: number])[] = [];
  for (let shard = 0; shard < shards; shard++) {
    if (!set.records.has(shard)) missing.push([firstOf(shard, shards, images), firstOf(shard + 1, shards, images)]);
  }
  return (spool) => missing.some(([first, end]) => first < (ends[spool] ?? 0) && end > (ends[spool - 1] ?? 0));
}

/** The part of all bytes that lies before a place; of all archives where their sizes are not known. */
function byteProgress(archives: readonly Archive[]): (place: Place) => number {
  let total = 0;
  const before = archives.map(({ start, end = start }) => (total += end - start) - (end - start));
  return ({ archive, start }) => {
    if (total === 0) return archive / archives.length;
    return ((before[archive] ?? 0) + start - (archives[archive]?.start ?? 0)) / total;
  };
}
