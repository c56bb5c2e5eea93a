/**
 * The files of the shard cache, and who may write one.
 *
 *     KEY-BYTES.shard                    a whole shard; its mtime is its last use
 *     KEY-BYTES.HOST-PID-RUN-STAMP.tmp   one being written; it counts with the bytes it will have
 *
 * Several processes may share the folder, and none ever waits for another: there is no lock. A writer first makes its
 * temporary file and then looks at the folder. Of two writers the one that looks later therefore sees both, so the sum
 * of all files, those being written at their full size, never passes the limit; who finds no room gives up caching that
 * shard. Temporary names are unique: a file taken away from under a writer makes its rename fail and hurts nobody.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeOf } from '../../common/error-code.js';
import { type CacheFolder } from './source.js';

/** One version of one shard. */
export interface CacheEntry {
  readonly key: string;
  readonly bytes: number;
}

/** A file about to be written, its room reserved. */
export interface Reservation {
  readonly file: FileHandle;
  readonly path: string;
}

/** A temporary file of another host, or of a process id that lives again, is given up after this without a write, ms. */
const STALE_MS = 3_600_000;
/** Of the disk, when there is no limit: checkpoints may go to the same one. */
const SHARE_OF_DISK = 0.9;

const NAME = /^([0-9a-f]{40})-(\d+)\.(?:shard|([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-(\w+)\.tmp)$/;

/** Process ids mean something only among processes that see each other: same host, same pid namespace. */
const HOST = shortHash(`${hostname()} ${pidNamespace()}`);

interface CacheFile extends CacheEntry {
  readonly path: string;
  /** Present for a temporary file. */
  readonly writer?: { readonly host: string; readonly pid: number; readonly run: string; readonly stamp: string };
}

/** Makes the folder and clears what killed processes left in it. */
export async function openCacheFolder(dir: string, limit?: number): Promise<CacheFolder> {
  await mkdir(dir, { recursive: true });
  await withoutStale(await list(dir));
  return { dir, run: randomBytes(4).toString('hex'), ...(limit !== undefined && { limit }) };
}

/** Removes the temporary files of a pipeline whose workers have ended, by whatever death. */
export async function sweepRun({ dir, run }: CacheFolder): Promise<void> {
  for (const { path, writer } of await list(dir)) if (writer?.host === HOST && writer.run === run) await rm(path, { force: true });
}

/** The name of a shard's version. `identity` is its URL and validator. */
export function cacheEntry(identity: string, bytes: number): CacheEntry {
  return { key: createHash('sha256').update(`${identity}\n${bytes}`).digest('hex').slice(0, 40), bytes };
}

/**
 * Opens the cached copy and marks it as used.
 * @returns undefined when there is none; a file of another length than its name says is removed. (File systems that may
 * lose a file's last blocks with the power lose its length with them.)
 */
export async function openEntry({ dir }: CacheFolder, entry: CacheEntry): Promise<FileHandle | undefined> {
  const path = entryPath(dir, entry);
  const file = await open(path, 'r').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    if ((await file.stat()).size === entry.bytes) {
      const now = new Date();
      // A folder that is read-only to us still serves.
      await file.utimes(now, now).catch(() => {});
      return file;
    }
    await rm(path, { force: true });
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/**
 * Makes the temporary file of an entry, evicting the least recently used shards to make room.
 * @returns why not, in words, when others write the same shard or need the room
 */
export async function reserve(folder: CacheFolder, entry: CacheEntry): Promise<Reservation | string> {
  const { dir, run } = folder;
  // Microseconds, so that the order of writers is nearly always that of their files.
  const micros = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const stamp = micros.toString(36).padStart(11, '0') + randomBytes(4).toString('hex');
  const path = join(dir, `${entry.key}-${entry.bytes}.${HOST}-${process.pid}-${run}-${stamp}.tmp`);
  const file = await open(path, 'wx');
  try {
    const problem = await makeRoom(folder, entry, path, stamp);
    if (problem === undefined) return { file, path };
    await discard({ file, path });
    return problem;
  } catch (error) {
    await discard({ file, path });
    throw error;
  }
}

/** Where a whole entry lies. */
export function entryPath(dir: string, { key, bytes }: CacheEntry): string {
  return join(dir, `${key}-${bytes}.shard`);
}

/** Closes and removes a temporary file. */
export async function discard({ file, path }: Reservation): Promise<void> {
  await file.close().catch(() => {});
  await rm(path, { force: true });
}

async function makeRoom(folder: CacheFolder, entry: CacheEntry, own: string, stamp: string): Promise<string | undefined> {
  const files = await withoutStale(await list(folder.dir));
  const others = files.filter(({ path, writer }) => writer && path !== own);
  // The first of several that begin at once goes on: lanes that share a shard do.
  if (others.some(({ key, writer }) => key === entry.key && writer && writer.stamp < stamp)) return 'another reader is storing it';
  const stored = files.filter(({ writer }) => !writer);
  // Since we looked for it: a second copy would be on the disk beside it, uncounted, until it takes its name.
  if (stored.some(({ key }) => key === entry.key)) return 'another reader has just stored it';
  const reserved = entry.bytes + sum(others);
  const limit = folder.limit ?? (await shareOfDisk(folder.dir, files));
  if (reserved > limit) return `${reserved} bytes are being stored, and ${limit} is the limit`;
  let total = reserved + sum(stored);
  if (total <= limit) return undefined;
  for (const { path, bytes } of await leastRecentFirst(stored)) {
    // Readers that have it open keep it; a system that refuses to remove an open file keeps it for all.
    const removed = await unlink(path).then(
      () => true,
      (error: unknown) => codeOf(error) === 'ENOENT',
    );
    if (removed) total -= bytes;
    if (total <= limit) return undefined;
  }
  return `no room: ${total} bytes are in use, and ${limit} is the limit`;
}

async function list(dir: string): Promise<CacheFile[]> {
  return (await readdir(dir)).flatMap((name) => {
    const [, key, bytes, host, pid, run, stamp] = NAME.exec(name) ?? [];
    // Anything else in the folder is not ours to count or remove.
    if (key === undefined || bytes === undefined) return [];
    const file = { key, bytes: Number(bytes), path: join(dir, name) };
    if (host === undefined || pid === undefined || run === undefined || stamp === undefined) return [file];
    return [{ ...file, writer: { host, pid: Number(pid), run, stamp } }];
  });
}

/** Removes what dead writers left. */
async function withoutStale(files: readonly CacheFile[]): Promise<CacheFile[]> {
  const kept: CacheFile[] = [];
  for (const file of files) {
    if (file.writer && (await isStale(file.path, file.writer))) await rm(file.path, { force: true });
    else kept.push(file);
  }
  return kept;
}

async function isStale(path: string, { host, pid }: { readonly host: string; readonly pid: number }): Promise<boolean> {
  if (host === HOST && !isAlive(pid)) return true;
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
  return Date.now() - mtimeMs > STALE_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user.
    return codeOf(error) === 'EPERM';
  }
}

async function leastRecentFirst(files: readonly CacheFile[]): Promise<CacheFile[]> {
  const used = await Promise.all(
    files.map(async (file) => ({
      file,
      mtimeMs: await stat(file.path).then(
        (found) => found.mtimeMs,
        () => 0,
      ),
    })),
  );
  return used.toSorted((a, b) => a.mtimeMs - b.mtimeMs).map(({ file }) => file);
}

/** Bytes of the disk that the folder's shards hold or could. */
async function shareOfDisk(dir: string, files: readonly CacheFile[]): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  const sizes = await Promise.all(
    files.map(async ({ path, bytes, writer }) =>
      writer
        ? stat(path).then(
            ({ size }) => size,
            () => 0,
          )
        : bytes,
    ),
  );
  return Math.floor(SHARE_OF_DISK * (bavail * bsize + sizes.reduce((a, b) => a + b, 0)));
}

function sum(files: readonly CacheFile[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
