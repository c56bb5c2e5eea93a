/** The index of a shard: where each of its samples lies, so that any of them can be fetched by itself. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { inWords } from '../output-place.js';
import { identityOf } from '../source/identity.js';
import { fieldsDigest, type SampleFields, type ShardSample } from './group.js';
import { LEFT_OUT_KINDS, type LeftOutCount, LeftOutCounter } from './left-out.js';
import { readShard, type ReadOptions } from './read.js';
import { codeOf } from '../../common/error-code.js';
import { printable } from '../../common/printable.js';
import { shellWord } from '../../common/shell-word.js';

/** One sample of a shard, in the order of the shard. */
export interface IndexedSample {
  /** WebDataset key: the member's path up to the first dot of its base name. */
  readonly key: string;
  /** Byte of the shard at which the sample's first member begins, headers included; reading can begin here. */
  readonly start: number;
  /** Byte at which the encoded image begins, and its length. */
  readonly offset: number;
  readonly size: number;
  /** Byte at which what is stored of it ends, when that is the pieces of a sparse file: the image is not the bytes at `offset`. */
  readonly sparseEnd?: number;
  /** CRC-32 of the encoded image. */
  readonly crc: number;
  /** Class index, when the shard has one. */
  readonly label?: number;
  /** Why this is a bad sample although the archive is sound. */
  readonly problem?: string;
}

/** What is known of a shard once it has been read from end to end. */
export interface ShardIndex {
  /** Path or URL of the shard, without login and signature. */
  readonly location: string;
  /** Length of the shard. */
  readonly bytes: number;
  /** Which members were taken for images and labels. */
  readonly fields?: SampleFields | undefined;
  readonly samples: readonly IndexedSample[];
  /** Everything else that the shard holds. */
  readonly leftOut: readonly LeftOutCount[];
}

/** Bytes of the tar header between `ShardSample.offset` and the image. */
export const HEADER_BYTES = 512;

/**
 * Reads a shard from end to end and tells where its samples lie.
 * @throws as `readShard` does
 */
export async function indexShard(
  location: string,
  options: Pick<ReadOptions, 'signal' | 'onRetry' | 'fields' | 'cache'> = {},
): Promise<ShardIndex> {
  const samples: IndexedSample[] = [];
  const leftOut = new LeftOutCounter();
  let bytes = 0;
  const told: ReadOptions = { onEnd: (end) => (bytes = end.bytes), onLeftOut: (one) => leftOut.add(one) };
  for await (const sample of readShard(location, { ...options, ...told })) samples.push(indexSample(sample));
  return { location: identityOf(location), bytes, fields: options.fields, samples, leftOut: leftOut.counts };
}

/** The index entry of a sample that has been read. */
export function indexSample({ key, start, offset, sparseEnd, image, label, problem }: ShardSample): IndexedSample {
  return {
    key,
    start,
    offset: offset + HEADER_BYTES,
    size: image.byteLength,
    ...(sparseEnd !== undefined && { sparseEnd }),
    crc: crc32(image),
    ...(label !== undefined && { label }),
    ...(problem !== undefined && { problem }),
  };
}

/** Whether a sample has the key of a neighbour: then it has neither label nor fields, also where it is read alone. */
export function isRepeated(samples: readonly IndexedSample[], index: number): boolean {
  const key = samples[index]?.key;
  return key === samples[index - 1]?.key || key === samples[index + 1]?.key;
}

/** The file in `dir` that holds the index of the shard at `location`, read with `fields`. */
export function indexPath(dir: string, location: string, fields?: SampleFields): string {
  const shown = identityOf(location);
  const name = /([^/\\?#]+)(?:[?#].*)?$/.exec(shown)?.[1] ?? 'shard';
  const hash = createHash('sha256').update(shown).update(fieldsDigest(fields)).digest('hex').slice(0, 16);
  return join(dir, `${name.replace(/[^\w.-]/g, '_').slice(0, 100)}-${hash}.json`);
}

const FORMAT = 'detco-shard-index';
const VERSION = 3;

/** A file holds one column a field, which is a third of the size of one object a sample. */
interface Columns {
  readonly format: string;
  readonly version: number;
  readonly location: string;
  readonly bytes: number;
  /** Digest of the choice of fields. */
  readonly fields: string;
  readonly leftOut: readonly LeftOutCount[];
  readonly key: readonly string[];
  readonly start: readonly number[];
  readonly offset: readonly number[];
  readonly size: readonly number[];
  readonly crc: readonly number[];
  readonly label: readonly (number | null)[];
  /** By ordinal of the sample. */
  readonly problem: Readonly<Record<string, string>>;
  /** The same; absent where no image is sparse. */
  readonly sparseEnd?: Readonly<Record<string, number>> | undefined;
}

/** Made when the first index is read: a worker that reads none does without the validator, a quarter of what it has loaded. */
let columnsSchema: Promise<{ parse(value: unknown): Columns }> | undefined;

async function makeSchema(): Promise<{ parse(value: unknown): Columns }> {
  const { z } = await import('zod');
  const ordinals = z.array(z.int().nonnegative());
  // What leaves out a `sparse file`, which is none of these, has other ordinals than a reader of such files: it is written anew.
  const kind = z.enum(LEFT_OUT_KINDS);
  const first = z.object({ kind, name: z.string().optional(), offset: z.int().nonnegative(), problem: z.string() });
  const leftOutCount = z.object({ kind, count: z.int().positive(), first });
  return z
    .object({
      format: z.literal(FORMAT),
      version: z.literal(VERSION),
      location: z.string(),
      bytes: z.int().nonnegative(),
      fields: z.string(),
      leftOut: z.array(leftOutCount),
      key: z.array(z.string()),
      start: ordinals,
      offset: ordinals,
      size: ordinals,
      crc: ordinals,
      // As a batch holds them.
      label: z.array(z.int32().nullable()),
      problem: z.record(z.string(), z.string()),
      sparseEnd: z.record(z.string(), z.int().nonnegative()).optional(),
    })
    .refine(({ key, start, offset, size, crc, label }) => [start, offset, size, crc, label].every(({ length }) => length === key.length));
}

/** @returns undefined when there is none, or none that this version can read whole: such a file is to be written anew */
export async function readIndex(dir: string, location: string, fields?: SampleFields): Promise<ShardIndex | undefined> {
  const columns = await readColumns(indexPath(dir, location, fields));
  if (columns?.location !== identityOf(location) || columns.fields !== fieldsDigest(fields)) return undefined;
  const { bytes, leftOut } = columns;
  return { location: columns.location, bytes, fields, samples: columns.key.map((_, i) => entry(columns, i)), leftOut };
}

/** Index files read at the same time. */
const PARALLEL = 8;

/**
 * Samples of each shard, from the indexes in `dir`.
 * @throws RangeError naming a shard without an index
 */
export async function countSamples(dir: string, locations: readonly string[], fields?: SampleFields): Promise<number[]> {
  const counts: (number | undefined)[] = [];
  let next = 0;
  const count = async (): Promise<void> => {
    for (let i = next++; i < locations.length; i = next++)
      counts[i] = (await readColumns(indexPath(dir, locations[i] ?? '', fields)))?.key.length;
  };
  await Promise.all(Array.from({ length: PARALLEL }, count));
  const missing = locations.filter((_, i) => counts[i] === undefined);
  if (missing[0] !== undefined) {
    const others = missing.length === 1 ? '' : ` and ${missing.length - 1} more of ${locations.length} shards`;
    throw new RangeError(
      `"${dir}" has no index of ${printable(identityOf(missing[0]))}${others}; make it with detco index --shards ... --out ${shellWord(dir)}`,
    );
  }
  return counts.map((samples) => samples ?? 0);
}

async function readColumns(path: string): Promise<Columns | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    columnsSchema ??= makeSchema();
    return (await columnsSchema).parse(JSON.parse(text));
  } catch (error) {
    // What cannot be opened is not therefore missing.
    const code = codeOf(error);
    if (code === undefined || code === 'ENOENT') return undefined;
    throw error;
  }
}

function entry({ key, start, offset, size, crc, label, problem, sparseEnd }: Columns, i: number): IndexedSample {
  const sample = { key: key[i] ?? '', start: start[i] ?? 0, offset: offset[i] ?? 0, size: size[i] ?? 0, crc: crc[i] ?? 0 };
  const [number, why, end] = [label[i] ?? undefined, problem[i], sparseEnd?.[i]];
  return {
    ...sample,
    ...(number !== undefined && { label: number }),
    ...(why !== undefined && { problem: why }),
    ...(end !== undefined && { sparseEnd: end }),
  };
}

/**
 * Puts the index of a shard into `dir`, which is made when absent. Processes may write the same one at the same time: a
 * reader meets one whole file or none. A file that says the same already is left alone.
 * @throws the file system's error
 */
export async function writeIndex(dir: string, index: ShardIndex): Promise<void> {
  const path = indexPath(dir, index.location, index.fields);
  const text = serialize(index);
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
  await mkdir(dir, { recursive: true });
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new Error(inWords(error, dir), { cause: error });
  }
}

function serialize({ location, bytes, fields, samples, leftOut }: ShardIndex): string {
  const columns: Columns = {
    format: FORMAT,
    version: VERSION,
    location: identityOf(location),
    bytes,
    fields: fieldsDigest(fields),
    leftOut,
    key: samples.map(({ key }) => key),
    start: samples.map(({ start }) => start),
    offset: samples.map(({ offset }) => offset),
    size: samples.map(({ size }) => size),
    crc: samples.map(({ crc }) => crc),
    label: samples.map(({ label }) => label ?? null),
    problem: byOrdinal(samples.map(({ problem }) => problem)),
    ...(samples.some(({ sparseEnd }) => sparseEnd !== undefined) && { sparseEnd: byOrdinal(samples.map(({ sparseEnd }) => sparseEnd)) }),
  };
  return `${JSON.stringify(columns)}\n`;
}

function byOrdinal<Value>(values: readonly (Value | undefined)[]): Record<string, Value> {
  return Object.fromEntries(values.flatMap((value, i) => (value === undefined ? [] : [[i, value]])));
}
