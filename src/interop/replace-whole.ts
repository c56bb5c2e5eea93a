/** Files that are there whole or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FileSum } from '../common/file-sum.js';

/**
 * Puts a file in its place when it is whole, over one that is there. Its folder is made when absent. Of several processes that do so at the
 * same time the last one's file stays. A kill can leave `PATH.XXXXXXXX.partial`.
 * @param write writes and fsyncs the file of the name that it is given
 */
export async function replaceWhole<T>(path: string, write: (partial: string) => Promise<T>): Promise<T> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`;
  await mkdir(dirname(path), { recursive: true });
  try {
    const result = await write(partial);
    await rename(partial, path);
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Writes and fsyncs a file, a chunk at a time. */
export async function writeChunks(path: string, chunks: Iterable<Uint8Array>): Promise<FileSum> {
  const hash = createHash('sha256');
  let bytes = 0;
  await using file = await open(path, 'w');
  for (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    await file.writeFile(chunk);
  }
  await file.sync();
  return { bytes, sha256: hash.digest('hex') };
}
