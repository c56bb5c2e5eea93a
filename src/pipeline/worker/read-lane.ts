/**
 * The compressed samples of a lane, in the order of its shards: streamed, or where a resume passes over them and an
 * index knows them, named only.
 *
 *   lane's shards   | a             | b             | c             |
 *   samples         | passed over         | to come                 |
 *                   | named by indexes    | streamed, from mid-shard on
 */
import { counted } from '../../common/counted.js';
import { laneShards, type PlanOptions, type ShardPart } from '../plan/lanes.js';
import { changedShard } from '../shard/fetch.js';
import type { ShardSample } from '../shard/group.js';
import { type LeftOutCount, LeftOutCounter } from '../shard/left-out.js';
import { type ReadOptions, readShard } from '../shard/read.js';
import { ShardError } from '../shard/shard-error.js';
import {
  HEADER_BYTES,
  type IndexedSample,
  indexPath,
  indexSample,
  isRepeated,
  readIndex,
  type ShardIndex,
  writeIndex,
} from '../shard/shard-index.js';
import { identityOf } from '../source/identity.js';
import { reasonOf } from '../source/source.js';
import { printable } from '../../common/printable.js';

/** A sample on its way through a lane. */
export interface LaneSample extends Omit<ShardSample, 'image'> {
  /** Ordinal of its shard in the pipeline's list. */
  readonly shard: number;
  /** The encoded image; undefined for a sample that was named only. */
  readonly image: Buffer | undefined;
  /** Where the image can be fetched, when it was named only. */
  readonly entry?: IndexedSample;
  /** Byte at which it ends, when it was named only. */
  readonly end?: number;
}

export interface ReadLaneOptions {
  readonly plan: PlanOptions;
  readonly shards: readonly string[];
  readonly epoch: number;
  readonly lane: number;
  /** Folder of shard indexes; shards that are streamed whole leave theirs there. */
  readonly indexDir?: string | undefined;
  readonly signal: AbortSignal;
  /** How remote shards are read. */
  readonly reading?: Pick<ReadOptions, 'fields' | 'cache' | 'onCache' | 'onVersion' | 'onRetry' | 'meters'>;
  /** Told what a shard leaves out, by its ordinal, once all of it is known; each time that the lane reads of it. */
  readonly onLeftOut?: (shard: number, leftOut: readonly LeftOutCount[]) => void;
}

/**
 * @param named samples at the lane's beginning of which no image is read where an index makes that possible
 * @throws SourceError when a shard is not what its index says; else as `readShard` does
 */
export async function* readLane(options: ReadLaneOptions, named: number): AsyncGenerator<LaneSample> {
  const { plan, epoch, lane, shards, indexDir, reading, onLeftOut } = options;
  let left = named;
  for (const part of laneShards(plan, epoch, lane)) {
    const location = shards[part.shard] as string;
    const indexed = indexDir !== undefined && (left > 0 || part.to !== Infinity);
    const index = indexed ? await readIndex(indexDir, location, reading?.fields) : undefined;
    if (index && indexDir !== undefined) {
      onLeftOut?.(part.shard, index.leftOut);
      const samples = ordinals(part, index);
      const passed = samples.slice(0, left);
      for (const i of passed) yield namedSample(part.shard, i, index);
      left -= passed.length;
      if (passed.length < samples.length) yield* readIndexed(options, part, index, indexDir, samples.slice(passed.length));
    } else if (part.to === Infinity) {
      for await (const sample of readWhole(options, part)) {
        left = Math.max(0, left - 1);
        yield sample;
      }
    } else {
      throw new Error(
        `${printable(identityOf(location))}: its index was there when the pipeline began and is no more in ${indexDir}; make it again with detco index`,
      );
    }
  }
}

function ordinals({ part, parts, from, to }: ShardPart, { samples }: ShardIndex): number[] {
  return Array.from({ length: Math.min(to, samples.length) - from }, (_, i) => from + i).filter((i) => i % parts === part);
}

function namedSample(shard: number, index: number, { samples, bytes }: ShardIndex): LaneSample {
  const entry = samples[index] as IndexedSample;
  const { key, start, offset, label, problem } = entry;
  const end = samples[index + 1]?.start ?? bytes;
  const repeated = isRepeated(samples, index);
  const known = { shard, index, key, start, offset: offset - HEADER_BYTES, image: undefined, entry, end, repeated };
  return { ...known, ...(label !== undefined && { label }), ...(problem !== undefined && { problem }) };
}

/** Streams samples `wanted` of the part (ascending, to its end), and sees to it that they are those of the index. */
async function* readIndexed(
  { shards, signal, reading }: ReadLaneOptions,
  { shard, part, parts }: ShardPart,
  { samples, bytes }: ShardIndex,
  indexDir: string,
  wanted: readonly number[],
): AsyncGenerator<LaneSample> {
  const location = shards[shard] as string;
  const file = indexPath(indexDir, location, reading?.fields);
  const first = wanted[0] ?? 0;
  const last = wanted.at(-1) ?? 0;
  const from = { index: first, start: samples[first]?.start ?? 0 };
  // A shard that is wanted whole is asked for whole: only such a one is kept in a cache folder.
  const whole = first === 0 && last === samples.length - 1;
  const range = whole ? {} : { from, end: samples[last + 1]?.start ?? bytes };
  let count = 0;
  try {
    for await (const sample of readShard(location, { ...range, part: { part, parts }, signal, ...reading })) {
      const entry = samples[sample.index];
      if (sample.key !== entry?.key || sample.offset + HEADER_BYTES !== entry.offset)
        throw changedShard(location, file, `it has ${sample.key} where ${entry?.key ?? 'nothing'} was`, sample.offset);
      count++;
      // Of two neighbours with one key a range may show one alone, which would get a label and fields that are neither's.
      const { label: _, kept, ...known } = sample;
      const own = kept && { kept: isRepeated(samples, sample.index) ? {} : kept };
      yield { ...known, shard, ...own, ...(entry.label !== undefined && { label: entry.label }) };
    }
  } catch (error) {
    if (!(error instanceof ShardError) || count > 0) throw error;
    throw changedShard(location, file, `no sample begins at byte ${from.start}`, from.start);
  }
  if (count < wanted.length) throw changedShard(location, file, `it lacks ${counted(wanted.length - count, 'sample')}`, bytes);
}

/** Streams a shard, or a part of it, from the beginning; one that was read whole leaves its index. */
async function* readWhole(
  { shards, indexDir, signal, reading, onLeftOut }: ReadLaneOptions,
  { shard, part, parts }: ShardPart,
): AsyncGenerator<LaneSample> {
  const location = shards[shard] as string;
  const dir = parts === 1 ? indexDir : undefined;
  const samples: IndexedSample[] = [];
  const leftOut = new LeftOutCounter();
  let bytes = 0;
  const told: ReadOptions = { onEnd: (end) => (bytes = end.bytes), onLeftOut: (one) => leftOut.add(one) };
  for await (const sample of readShard(location, { part: { part, parts }, signal, ...told, ...reading })) {
    if (dir !== undefined) samples.push(indexSample(sample));
    yield { ...sample, shard };
  }
  onLeftOut?.(shard, leftOut.counts);
  if (dir !== undefined) await keepIndex(dir, { location, bytes, fields: reading?.fields, samples, leftOut: leftOut.counts });
}

let warned = false;

/** An index saves reading later; the run goes on without it. What keeps one away keeps all: a thread says it once. */
async function keepIndex(dir: string, index: ShardIndex): Promise<void> {
  try {
    await writeIndex(dir, index);
  } catch (error) {
    if (warned) return;
    warned = true;
    process.emitWarning(printable(`the index of ${identityOf(index.location)} could not be kept: ${reasonOf(error)}`));
  }
}
