/**
 * Remote shards through a folder of this machine: a shard is fetched once and read from there afterwards.
 *
 * Each read first asks the server which version it has (one byte by Range), so an object that was replaced is never
 * served from the folder. A miss streams from the network to the reader, and into a file on the way.
 */
import { once } from 'node:events';
import { type FileHandle, rename } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { formatByteSize } from '../../common/byte-size.js';
import { type CacheEntry, cacheEntry, discard, entryPath, openEntry, type Reservation, reserve } from './cache-folder.js';
import { READ_BYTES } from './file.js';
import { probeRemote, readRemote, type RemoteObject, reportVersion } from './remote.js';
import { identityOf } from './identity.js';
import { codeOf } from '../../common/error-code.js';
import { type CacheEvent, type CacheFolder, reasonOf, SourceError, type OpenOptions } from './source.js';
import { validatorOf, type Version } from './version.js';

/** Chunks wait here for the disk while the reader goes on; beyond it the disk sets the pace. Bytes for each shard being stored. */
const WRITE_BEHIND_BYTES = 4 << 20;

type Report = (kind: CacheEvent['kind'], reason?: string) => void;

/** Streams a remote object, by way of the cache folder when there is one. */
export async function* openRemote(object: RemoteObject, options: OpenOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { cache, start = 0, end } = options;
  if (!cache) return yield* readRemote(object, options);
  const report: Report = (kind, reason) =>
    options.onCache?.({ kind, url: identityOf(object.location), ...(reason !== undefined && { reason }) });
  const { url, version } = await probeRemote(object, options);
  const entry = entryOf(url, version);
  if (!entry) {
    report('skipped', 'it is empty, or the server tells no length or neither ETag nor Last-Modified');
    return yield* readRemote(object, options);
  }
  if (cache.limit !== undefined && cache.limit < entry.bytes) throw tooSmall(object.location, cache.limit, entry.bytes);
  const file = await tried(() => openEntry(cache, entry), cache, report);
  if (file) {
    report('hit');
    reportVersion(object.location, version, options);
    return yield* readEntry(object.location, file, entry, options);
  }
  const whole = start === 0 && end === undefined;
  const held = whole ? await tried(() => reserve(cache, entry), cache, report) : 'a part of it is read';
  if (typeof held === 'string') report('skipped', held);
  if (typeof held !== 'object') return yield* readRemote(object, options);
  const copy = new Copy(held, cache, report);
  try {
    let found: Version | undefined;
    for await (const chunk of readRemote(object, options, (answered) => (found = answered))) {
      await copy.write(chunk);
      yield chunk;
    }
    if (found && entryOf(url, found)?.key === entry.key) await copy.complete(entry);
    else report('skipped', 'it was replaced while it was read');
  } finally {
    await copy.abandon();
  }
}

/** undefined and a report when the folder fails: the shard is then read as if there were none. */
async function tried<T>(act: () => Promise<T>, cache: CacheFolder, report: Report): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    report('failed', diskProblem(cache, error));
    return undefined;
  }
}

/** The file that a passing stream is copied into. Never throws: what goes wrong is reported and ends the copy, not the stream. */
class Copy {
  readonly #held: Reservation;
  readonly #cache: CacheFolder;
  readonly #report: Report;
  readonly #sink: ReturnType<FileHandle['createWriteStream']>;
  #over = false;

  constructor(held: Reservation, cache: CacheFolder, report: Report) {
    this.#held = held;
    this.#cache = cache;
    this.#report = report;
    this.#sink = held.file.createWriteStream({ highWaterMark: WRITE_BEHIND_BYTES });
    // Met as `errored` at the next write.
    this.#sink.on('error', () => {});
  }

  /** Takes a chunk; waits only while the disk is `WRITE_BEHIND_BYTES` behind. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#over) return;
    try {
      if (this.#sink.errored) throw this.#sink.errored;
      if (!this.#sink.write(chunk)) await once(this.#sink, 'drain');
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Every byte has been taken: the file gets its name. */
  async complete(entry: CacheEntry): Promise<void> {
    if (this.#over) return;
    try {
      this.#sink.end();
      await finished(this.#sink);
      await rename(this.#held.path, entryPath(this.#cache.dir, entry));
      this.#over = true;
      this.#report('stored');
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Removes a file that is not complete. */
  async abandon(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#sink.destroy();
    // Another process may have removed the folder, or the disk may be gone: nothing is left to remove then.
    await discard(this.#held).catch(() => {});
  }

  async #fail(error: unknown): Promise<void> {
    this.#report('failed', diskProblem(this.#cache, error));
    await this.abandon();
  }
}

async function* readEntry(
  location: string,
  file: FileHandle,
  { bytes }: CacheEntry,
  { start = 0, end = bytes, signal }: OpenOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = start;
  try {
    const furthest = Math.max(start, end);
    if (furthest > bytes)
      throw new SourceError(location, `asked for byte ${furthest} of an object of ${bytes} bytes; it is shorter than its index says`);
    if (start === end) return;
    const stream: AsyncIterable<Uint8Array> = file.createReadStream({ start, end: end - 1, highWaterMark: READ_BYTES });
    for await (const chunk of stream) {
      signal?.throwIfAborted();
      offset += chunk.byteLength;
      yield chunk;
    }
    signal?.throwIfAborted();
    if (offset < end) throw new Error('the file was cut off while it was read');
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof SourceError) throw error;
    throw new SourceError(location, `its cached copy cannot be read at byte ${offset}: ${reasonOf(error)}; empty the cache folder`, {
      offset,
      cause: error,
    });
  } finally {
    await file.close();
  }
}

/** undefined for an object that cannot be told from another version of itself, or is empty. */
function entryOf(url: string, version: Version): CacheEntry | undefined {
  const validator = validatorOf(version);
  return validator !== undefined && version.total ? cacheEntry(`${url}\n${validator}`, version.total) : undefined;
}

function tooSmall(location: string, limit: number, bytes: number): SourceError {
  const sizes = `cacheSize ${limit} (${formatByteSize(limit)}) is less than the ${bytes} bytes (${formatByteSize(bytes)}) of this shard`;
  return new SourceError(location, `${sizes}; set it to at least ${bytes}, or to the size of a larger shard, or leave the cache out`);
}

function diskProblem({ dir }: CacheFolder, error: unknown): string {
  const code = codeOf(error);
  const remedy = code === 'ENOSPC' || code === 'EDQUOT' ? `free some space, or set a smaller cacheSize` : 'check the folder';
  return `it cannot be cached in ${dir}: ${reasonOf(error)}; ${remedy}`;
}
