/** Reads shards from end to end and tells everything that is wrong with them. */
import { counted } from '../../common/counted.js';
import { crc32 } from 'node:zlib';
import { SourceError } from '../source/index.js';
import { identityOf } from '../source/identity.js';
import { decodeImage, decodeProblem } from '../worker/decode.js';
import { DecodeRoom, defaultDecodeMemory } from '../worker/decode-room.js';
import { HardwareCount, hardwareKind, type HardwareKind, type HardwareSummary } from './hardware-count.js';
import { mapInOrder } from './in-order.js';
import { LabelCount, type LabelSummary } from './index-shards.js';
import type { SampleFields, ShardSample } from './group.js';
import { LeftOutCounter, type LeftOutKind, type ShardLeftOut } from './left-out.js';
import { readShard } from './read.js';
import { ShardError } from './shard-error.js';
import { setOf } from './set-of.js';
import { readIndex, type IndexedSample, type ShardIndex } from './shard-index.js';
import type { TarEnd } from './tar/reader.js';

export interface VerifyOptions {
  /** Folder of the indexes to check against. */
  readonly indexDir?: string;
  /** Which members are images and labels. */
  readonly fields?: SampleFields;
  /** Whether every image is decoded to its last row. */
  readonly decode: boolean;
  /** Pixels above which an image is a problem. Default 67108864. */
  readonly maxPixels?: number;
  /** Bytes that images may take while they are decoded. Default: an eighth of the memory that the process may use. */
  readonly decodeMemory?: number;
  /** Labels must be below it. Default: the number of `fields.classNames`, if there are any. */
  readonly classes?: number;
  /** Images that are decoded at once in each of the shards that are read at once. */
  readonly workers: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly samples: number; readonly shards: number }) => void;
}

export interface Problem {
  readonly kind: 'archive' | 'image' | 'label' | 'duplicate key' | 'duplicate image' | 'index' | LeftOutKind;
  readonly shard: string;
  readonly key?: string;
  /** Name of a member that is part of no sample, or of a label. */
  readonly member?: string;
  /** Byte of the shard: of the member's tar header, or where the archive stops making sense. */
  readonly offset?: number;
  /** What is wrong, in words. */
  readonly problem: string;
}

type Place = Required<Pick<Problem, 'shard' | 'key' | 'offset'>>;

export interface VerifyReport {
  readonly shards: number;
  readonly samples: number;
  readonly bytes: number;
  readonly labels: LabelSummary;
  /** Of the images without a problem, by their headers. */
  readonly hardware: HardwareSummary;
  /** What may be labels under another name, of all shards, and the first of them: no problem, for a set may do without labels. */
  readonly otherLabels?: ShardLeftOut;
  readonly problems: readonly Problem[];
}

/** Shards that are read at once; more would only queue for the decoder. */
const SHARDS_AT_ONCE = 4;

/**
 * Checks that each shard is a sound archive to its end, that its images decode, that labels are there and in range, that
 * no key comes twice in a set (`setOf`) and no image in all of them, and, with an index, that the shard is still the one that was indexed.
 * A shard that cannot be read further does not stop the others. Keeps about 200 bytes a sample in memory.
 * @throws the signal's reason
 */
export async function verifyShards(locations: readonly string[], options: VerifyOptions): Promise<VerifyReport> {
  const { workers, decodeMemory = defaultDecodeMemory(), signal, onProgress } = options;
  const problems: Problem[] = [];
  const labels = new LabelCount();
  const hardware = new HardwareCount();
  const unlabelled: Place[] = [];
  const duplicates = duplicateFinder();
  let [samples, bytes, shards, seen] = [0, 0, 0, 0];
  let otherLabels: ShardLeftOut | undefined;
  const onSample = (): void => onProgress?.({ samples: ++seen, shards });
  const room = new DecodeRoom(decodeMemory);
  const active = Math.min(SHARDS_AT_ONCE, workers);
  for await (const checked of mapInOrder(locations, active, (location) => checkShard(location, options, room, onSample))) {
    signal?.throwIfAborted();
    const { shard } = checked;
    for (const problem of checked.problems) problems.push(problem);
    const others = checked.otherLabels;
    if (others) otherLabels = otherLabels ? { ...otherLabels, count: otherLabels.count + others.count } : others;
    for (const sample of checked.samples) {
      const place = { shard, key: sample.key, offset: sample.offset };
      problems.push(...duplicates(place, sample));
      labels.add(sample.label);
      if (sample.hardware !== undefined) hardware.add(sample.hardware);
      if (sample.label === undefined) unlabelled.push(place);
    }
    samples += checked.samples.length;
    bytes += checked.bytes;
    onProgress?.({ samples: seen, shards: ++shards });
  }
  const summary = labels.summary();
  if (summary.labelled > 0) {
    for (const place of unlabelled) problems.push({ kind: 'label', ...place, problem: 'has no label, and others have one' });
  }
  return { shards, samples, bytes, labels: summary, hardware: hardware.summary(), ...(otherLabels && { otherLabels }), problems };
}

/** What is kept of a sample. */
interface SeenSample extends Pick<ShardSample, 'key' | 'offset' | 'sparseEnd' | 'label'> {
  readonly crc: number;
  readonly size: number;
  /** Undefined where the image has a problem. */
  readonly hardware?: HardwareKind;
}

interface CheckedShard {
  readonly shard: string;
  readonly bytes: number;
  readonly samples: readonly SeenSample[];
  readonly otherLabels: ShardLeftOut | undefined;
  readonly problems: readonly Problem[];
}

async function checkShard(
  location: string,
  { indexDir, fields, decode, maxPixels, classes = fields?.classNames?.length, workers, signal }: VerifyOptions,
  room: DecodeRoom,
  onSample: () => void,
): Promise<CheckedShard> {
  const shard = identityOf(location);
  const problems: Problem[] = [];
  const samples: SeenSample[] = [];
  const otherLabels = new LeftOutCounter();
  const check = decode ? (image: Uint8Array) => checkPixels(image, room, maxPixels) : checkBytes;
  let end: TarEnd | undefined;
  const index = indexDir === undefined ? undefined : await readIndex(indexDir, location, fields);
  if (indexDir !== undefined && !index) {
    problems.push({ kind: 'index', shard, problem: `has no index in "${indexDir}"; make it with detco index` });
  }
  try {
    const read = readShard(location, {
      fields,
      ...(signal && { signal }),
      onEnd: (found) => (end = found),
      onLeftOut: (found) => {
        const { name, ...leftOut } = found;
        if (found.kind === 'label of another field') otherLabels.add(found);
        else problems.push({ ...leftOut, shard, ...(name !== undefined && { member: name }) });
      },
    });
    for await (const { sample, seen, reason } of mapInOrder(read, workers, (sample) => look(sample, check))) {
      const place = { shard, key: sample.key, offset: sample.offset };
      const label = labelProblem(sample, classes);
      if (reason !== undefined) problems.push({ kind: 'image', ...place, problem: reason });
      if (label !== undefined) problems.push({ kind: 'label', ...place, problem: label });
      samples.push(seen);
      onSample();
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof ShardError || error instanceof SourceError)) throw error;
    const offset = error.offset;
    problems.push({ kind: 'archive', shard, ...(offset !== undefined && { offset }), problem: error.message.replace(`${shard}: `, '') });
  }
  const bytes = end?.bytes ?? 0;
  const inOrder = problems.toSorted((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
  if (index) inOrder.push(...againstIndex(shard, { bytes, samples, whole: end !== undefined }, index));
  const [other] = otherLabels.counts;
  return { shard, bytes, samples, otherLabels: other && { ...other, shard }, problems: inOrder };
}

/** Takes what is to be kept of a sample, so that its image can go. */
async function look(
  { image, ...sample }: ShardSample,
  check: (image: Uint8Array) => Promise<void> | void,
): Promise<{ readonly sample: Omit<ShardSample, 'image'>; readonly seen: SeenSample; readonly reason?: string }> {
  const { key, offset, sparseEnd, label } = sample;
  const known = { key, offset, ...(sparseEnd !== undefined && { sparseEnd }), ...(label !== undefined && { label }) };
  const seen = { ...known, crc: crc32(image), size: image.length };
  if (sample.problem !== undefined) return { sample, seen, reason: sample.problem };
  try {
    await check(image);
    return { sample, seen: { ...seen, hardware: hardwareKind(image) } };
  } catch (error) {
    return { sample, seen, reason: `cannot be decoded: ${decodeProblem(error)}` };
  }
}

function checkBytes(image: Uint8Array): void {
  if (image.length === 0) throw new Error('the image is empty (0 bytes)');
}

async function checkPixels(image: Uint8Array, room: DecodeRoom, maxPixels: number | undefined): Promise<void> {
  const claim = room.claim();
  try {
    await decodeImage(image, { ...(maxPixels !== undefined && { maxPixels }), room: (bytes) => claim.take(bytes) });
  } finally {
    claim.give();
  }
}

function labelProblem({ label }: Omit<ShardSample, 'image'>, classes: number | undefined): string | undefined {
  if (label === undefined || (label >= 0 && label < (classes ?? Infinity))) return undefined;
  return `label ${label}; expected 0${classes === undefined ? ' or more' : `..${classes - 1}`}`;
}

/** Names what a sample has in common with an earlier one. */
function duplicateFinder(): (place: Place, sample: SeenSample) => Problem[] {
  const sets = new Map<string, Map<string, { readonly shard: string; readonly offset: number }>>();
  const images = new Map<number, { readonly shard: string; readonly key: string }>();
  return (place, { key, crc, size }) => {
    const found: Problem[] = [];
    const { shard, offset } = place;
    const set = setOf(shard);
    const keys = sets.get(set) ?? new Map<string, { readonly shard: string; readonly offset: number }>();
    sets.set(set, keys);
    const first = keys.get(key);
    if (!first) keys.set(key, { shard, offset });
    else {
      const where = first.shard === shard ? 'the same shard' : first.shard;
      found.push({
        kind: 'duplicate key',
        ...place,
        problem: `has the key of the sample at byte ${first.offset} of ${where}; rename one of the two`,
      });
    }
    // 32 bits of checksum and the low 21 of the size are what an exact integer holds.
    const content = crc * 2 ** 21 + (size % 2 ** 21);
    const image = images.get(content);
    if (!image) images.set(content, { shard, key });
    else if (size > 0) found.push({ kind: 'duplicate image', ...place, problem: `has the image of "${image.key}" in ${image.shard}` });
    return found;
  };
}

function againstIndex(
  shard: string,
  { bytes, samples, whole }: { readonly bytes: number; readonly samples: readonly SeenSample[]; readonly whole: boolean },
  index: ShardIndex,
): Problem[] {
  const problems: Problem[] = [];
  const say = (problem: string, place: { readonly key?: string; readonly offset?: number } = {}): void => {
    problems.push({ kind: 'index', shard, ...place, problem });
  };
  if (whole && bytes !== index.bytes) say(`has ${bytes} bytes, its index says ${index.bytes}`);
  if (whole && samples.length !== index.samples.length)
    say(`has ${counted(samples.length, 'sample')}, its index says ${index.samples.length}`);
  for (const [ordinal, sample] of samples.entries()) {
    const indexed = index.samples[ordinal];
    if (!indexed) break;
    const { key, offset } = sample;
    if (key !== indexed.key) {
      say(`is sample ${ordinal}, its index says "${indexed.key}"; the shard was made anew, so index it again`, { key, offset });
      break;
    }
    const problem = difference(sample, indexed);
    if (problem !== undefined) say(problem, { key, offset });
  }
  return problems;
}

function difference({ crc, size, sparseEnd, label }: SeenSample, indexed: IndexedSample): string | undefined {
  if (size !== indexed.size) return `has ${size} bytes, its index says ${indexed.size}`;
  if (crc !== indexed.crc) return `has checksum ${hex(crc)}, its index says ${hex(indexed.crc)}; its bytes have changed`;
  if (sparseEnd !== indexed.sparseEnd) return 'is stored in other pieces than its index says; index the shard again';
  return label === indexed.label ? undefined : `has label ${label ?? '(none)'}, its index says ${indexed.label ?? '(none)'}`;
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
