/** Files that are there whole or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { codeOf } from './error-code.js';
import type { FileSum } from './file-sum.js';
import { realPlace } from './real-place.js';

/** Names of what this process has open: a shell, too, writes to the file that it gave so. */
const OPEN_FILES = /^\/(dev\/(stdin|stdout|stderr|fd)|proc)(\/|$)/;

/**
 * Puts a file in its place when it is whole, over one that is there; where a link is there, in the place that it leads to. The folder is made
 * when absent. Of several processes that do so at the same time the last one's file stays. A kill can leave `PATH.XXXXXXXX.partial`.
 *
 * What is no file, such as a device or a pipe, is written to as it is.
 *
 * @param write writes the file of the name that it is given, to the disk (`toDisk`)
 */
export async function replaceWhole<T>(path: string, write: (partial: string) => Promise<T>): Promise<T> {
  const found = await stat(path).catch(() => undefined);
  if (OPEN_FILES.test(resolve(path)) || (found && !found.isFile())) return write(path);
  const place = await realPlace(path);
  const partial = `${place}.${randomBytes(4).toString('hex')}.partial`;
  await mkdir(dirname(place), { recursive: true });
  try {
    const result = await write(partial);
    await rename(partial, place);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Writes a file to the disk, a chunk at a time. */
export async function writeChunks(path: string, chunks: Iterable<Uint8Array>): Promise<FileSum> {
  const hash = createHash('sha256');
  let bytes = 0;
  await using file = await open(path, 'w');
  for (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    await file.writeFile(chunk);
  }
  await toDisk(file);
  return { bytes, sha256: hash.digest('hex') };
}

/** fsync, of which devices and pipes have none. */
export async function toDisk(file: FileHandle): Promise<void> {
  await file.sync().catch((error: unknown) => {
    if (codeOf(error) !== 'EINVAL') throw error;
  });
}
