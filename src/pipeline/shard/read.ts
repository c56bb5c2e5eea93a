/** Reads the samples of a shard, one after another, while its bytes arrive. */
import { extract, type Extract } from 'tar-stream';
import { type LaneMeters, TASK, timed } from '../profile/lane-meters.js';
import { STAGE } from '../profile/stages.js';
import { openShard, type OpenOptions } from '../source/index.js';
import { reasonOf, SourceError, withoutPassword } from '../source/source.js';
import { MAX_IMAGE_BYTES, MAX_LABEL_BYTES, memberName, parseLabel } from './member.js';

declare module 'tar-stream' {
  interface Header {
    /** Byte of the archive at which the member's content begins. */
    byteOffset: number;
  }
}

type Entry = Extract extends AsyncIterable<infer Item> ? Item : never;

/** One image and what the shard says about it. */
export interface ShardSample {
  /** WebDataset key: the member's path up to the first dot of its base name. */
  readonly key: string;
  /** Ordinal of the sample within the shard, from 0; counts samples that a `part` leaves out. */
  readonly index: number;
  /** Byte of the shard at which the sample's first member begins, with all of its headers; reading can begin here. */
  readonly start: number;
  /** Byte of the shard at which the image's 512-byte tar header begins; the image follows it. */
  readonly offset: number;
  /** The encoded image, in memory of its own. */
  readonly image: Buffer;
  /** Class index, when the shard has a `KEY.cls`. */
  readonly label?: number;
  /** Why this is a bad sample although the archive is sound: label text that is no integer, an image of absurd size. */
  readonly problem?: string;
}

export interface ReadOptions extends Pick<OpenOptions, 'signal' | 'onRetry' | 'cache' | 'onCache' | 'onVersion'> {
  /** Yield only samples whose `index % parts === part`; the others are skipped without being kept. */
  readonly part?: { readonly part: number; readonly parts: number };
  /** Begins at a sample in the middle of the shard: its `start` and its ordinal. */
  readonly from?: { readonly start: number; readonly index: number };
  /** Byte before which to stop: the `start` of a sample, or the size of the shard. */
  readonly end?: number;
  /** Called after the last sample with the byte at which reading ended. */
  readonly onEnd?: (bytes: number) => void;
  /** Told how long bytes are waited for. */
  readonly meters?: LaneMeters;
}

/** Bytes that are not a sound tar archive; the shard cannot be read further. */
export class ShardError extends Error {
  readonly location: string;
  /** Byte of the shard at which it stops making sense. */
  readonly offset: number;

  constructor(location: string, offset: number, problem: string, cause?: unknown) {
    const shown = withoutPassword(location);
    super(`${shown}: ${problem}`, { cause });
    this.name = 'ShardError';
    this.location = shown;
    this.offset = offset;
  }
}

/** A sample of which members may still come. */
interface Group {
  readonly key: string;
  readonly start: number;
  index?: number;
  offset?: number;
  image?: Buffer;
  label?: number;
  problem?: string;
}

/**
 * Streams the samples of the tar archive at `location`. A sample is a run of neighbouring members with the same key, of
 * which one is an image (`KEY.jpg`, `.jpeg`, `.png` or `.webp`, any case) and one may be a label (`KEY.cls`). Other
 * members are skipped, and so is a run without an image. The official ImageNet class archives read the same way.
 * Leaving the iteration closes the file or the socket.
 * @throws ShardError for bytes that are not a tar archive or end within one; SourceError when they cannot be read;
 * the signal's reason when it is aborted
 */
export async function* readShard(
  location: string,
  { signal, part, from, end, onEnd, meters, ...reading }: ReadOptions = {},
): AsyncGenerator<ShardSample, void, undefined> {
  const archive = extract();
  const first = from?.start ?? 0;
  const progress: Progress = { bytes: first, next: first };
  const stop = new AbortController();
  const abort = (): void => stop.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const range = { start: first, ...(end !== undefined && { end }) };
  const bytes = openShard(location, { ...range, signal: stop.signal, ...reading });
  const metered = meters
    ? timed(bytes, meters, { task: TASK.fetch, stage: STAGE.source, onItem: (chunk) => meters.bytes(STAGE.source, chunk.byteLength) })
    : bytes;
  const fed = feed(archive, location, metered, progress);
  let count = from?.index ?? 0;
  let group: Group | undefined;
  try {
    for await (const entry of archive) {
      const { size } = entry.header;
      const byteOffset = first + entry.header.byteOffset;
      const start = progress.next;
      progress.next = byteOffset + Math.ceil(size / 512) * 512;
      const member = isFile(entry) ? memberName(entry.header.name) : undefined;
      if (member && member.key !== group?.key) {
        if (group) yield* finished(group);
        group = { key: member.key, start };
      }
      if (group && member?.kind === 'image' && group.index === undefined) {
        group.index = count++;
        group.offset = byteOffset - 512;
        if (!part || group.index % part.parts === part.part) await readImage(entry, size, group);
      } else if (group && member?.kind === 'label' && (group.index === undefined || group.image)) {
        await readLabel(entry, size, group);
      }
      entry.resume();
    }
    if (group) yield* finished(group);
    onEnd?.(progress.bytes);
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof SourceError || error instanceof ShardError ? error : archiveError(location, error, progress);
  } finally {
    signal?.removeEventListener('abort', abort);
    stop.abort();
    archive.destroy();
    await fed;
  }
}

interface Progress {
  /** Bytes handed to the tar parser. */
  bytes: number;
  /** Byte at which the member after the current one begins. */
  next: number;
}

/** Pushes the shard's bytes into the tar parser, as fast as samples are taken out of it. Never rejects: errors go through the archive. */
async function feed(archive: Extract, location: string, bytes: AsyncIterable<Uint8Array>, progress: Progress): Promise<void> {
  try {
    for await (const chunk of bytes) {
      if (progress.bytes === 0 && chunk[0] === 0x1f && chunk[1] === 0x8b) {
        throw new ShardError(location, 0, 'is compressed with gzip, which is not supported (images do not shrink); gunzip it first');
      }
      progress.bytes += chunk.byteLength;
      // The reader may have left while the chunk came; nothing is said any more by an archive that has closed.
      if (archive.destroyed) return;
      if (!archive.write(chunk)) await drained(archive);
    }
    if (progress.bytes === 0) throw new ShardError(location, 0, 'is empty; expected a tar archive');
    archive.end(undefined);
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}

function drained(archive: Extract): Promise<void> {
  // It says that it has closed once only, which may have been while a chunk was on its way.
  if (archive.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      archive.off('drain', done);
      archive.off('close', done);
      resolve();
    };
    archive.on('drain', done);
    archive.on('close', done);
  });
}

/** Sparse files are left out too: what they hold is not what is stored. */
function isFile({ header }: Entry): boolean {
  const sparse = Object.keys(header.pax ?? {}).some((name) => name.startsWith('GNU.sparse'));
  return (header.type === 'file' || header.type === 'contiguous-file') && !sparse;
}

function* finished({ key, index, start, offset, image, label, problem }: Group): Generator<ShardSample, void, undefined> {
  if (index === undefined || offset === undefined || !image) return;
  yield {
    key,
    index,
    start,
    offset,
    image,
    ...(label !== undefined && { label }),
    ...(problem !== undefined && { problem }),
  };
}

async function readImage(entry: Entry, size: number, group: Group): Promise<void> {
  if (size > MAX_IMAGE_BYTES) {
    group.image = Buffer.alloc(0);
    group.problem = `image of ${size} bytes; expected at most ${MAX_IMAGE_BYTES}`;
    return;
  }
  group.image = await readContent(entry, size);
}

async function readLabel(entry: Entry, size: number, group: Group): Promise<void> {
  const text = size > MAX_LABEL_BYTES ? `${size} bytes` : (await readContent(entry, size)).toString('utf8');
  const label = parseLabel(text);
  if (label === undefined) group.problem ??= `label ${JSON.stringify(text)}; expected a whole number`;
  else group.label = label;
}

/** Copied out of the read chunks, which a kept slice would hold in memory whole. */
async function readContent(entry: Entry, size: number): Promise<Buffer> {
  const content = Buffer.allocUnsafeSlow(size);
  let filled = 0;
  for await (const chunk of entry as AsyncIterable<Uint8Array>) {
    content.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return content;
}

function archiveError(location: string, error: unknown, { bytes, next }: Progress): ShardError {
  const reason = reasonOf(error);
  if (next === 0) return new ShardError(location, 0, `is not a tar archive; check what the file is (${reason})`, error);
  if (/unexpected end/i.test(reason)) {
    return new ShardError(location, bytes, `ends at byte ${bytes} in the middle of the archive; it was cut off, so copy it again`, error);
  }
  return new ShardError(location, next, `is damaged at byte ${next}; copy it again (${reason})`, error);
}
