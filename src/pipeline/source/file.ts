/** Shards on a file system: paths, `file://` URLs, directories and globs. */
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { glob } from 'tinyglobby';
import { codeOf } from '../../common/error-code.js';
import { quoted } from '../../common/quoted.js';
import { realPlace } from '../../common/real-place.js';
import { type FoundShard, type ListOptions, reasonOf, SourceError, type OpenOptions } from './source.js';

/** Bytes of one read. tar parsing is about three times as fast with chunks of 1 MiB as with the default 64 KiB. */
export const READ_BYTES = 1 << 20;

/** Streams a file from `start` to before `end`. */
export async function* openFile(
  location: string,
  { start = 0, end, signal }: OpenOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted();
  const path = toPath(location);
  let offset = start;
  try {
    const { size } = await stat(path);
    const last = end ?? size;
    if (Math.max(start, last) > size)
      throw new SourceError(
        location,
        `asked for byte ${Math.max(start, last)} of a file of ${size} bytes; it is shorter than its index says`,
      );
    if (start === last) return;
    const stream: AsyncIterable<Uint8Array> = createReadStream(path, {
      start,
      ...(end !== undefined && { end: end - 1 }),
      highWaterMark: READ_BYTES,
      ...(signal && { signal }),
    });
    for await (const chunk of stream) {
      offset += chunk.byteLength;
      yield chunk;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof SourceError ? error : fileError(location, error, offset);
  }
}

/** Size and time of a file. */
export async function askFile(location: string): Promise<FoundShard> {
  try {
    const found = await stat(toPath(location));
    if (found.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    return factsOf(location, found);
  } catch (error) {
    throw fileError(location, error);
  }
}

function factsOf(location: string, { size, mtime }: Stats): FoundShard {
  return { location, bytes: size, version: mtime.toISOString() };
}

/**
 * Files that a specification names: itself, the tar files under a directory, or what a glob matches
 * (sorted by code unit, so the order is the same on every machine). A path that exists is never read as a glob.
 * @returns an empty list when nothing matches
 */
export async function listFiles(spec: string, { cwd = '.' }: ListOptions = {}): Promise<FoundShard[]> {
  const path = resolve(cwd, toPath(spec));
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw fileError(spec, error);
  });
  if (found?.isDirectory()) {
    const tars = await glob('**/*.tar', { cwd: path, absolute: true });
    if (tars.length === 0)
      throw new SourceError(
        spec,
        'is a folder without a .tar file; of a folder of images make shards first: npx detco shard FOLDER --out DIR',
        {
          kind: 'missing',
        },
      );
    return files(spec, tars);
  }
  if (found) return [factsOf(path, found)];
  const pattern = toPath(spec);
  if (!/[*?[\]()!]/.test(pattern)) return [];
  return files(spec, await glob(pattern.split(sep).join('/'), { cwd, absolute: true, expandDirectories: false }));
}

function toPath(location: string): string {
  return /^file:/i.test(location) ? fileURLToPath(location) : location;
}

/** @throws SourceError where a link leads to a folder of shards that are there without it too: it may lead back to one that holds it */
async function files(spec: string, found: readonly string[]): Promise<FoundShard[]> {
  const paths = found.map((path) => resolve(path)).toSorted();
  const folders = new Map<string, string>();
  // The shorter first: the other is by the link.
  for (const folder of [...new Set(paths.map((path) => dirname(path)))].toSorted((a, b) => a.length - b.length)) {
    const place = await realPlace(folder);
    const other = folders.get(place);
    if (other !== undefined)
      throw new SourceError(
        spec,
        `names the shards of ${quoted(other)} twice, for ${quoted(folder)} is the same folder by a link; remove the link, or name the shards`,
        { kind: 'malformed' },
      );
    folders.set(place, folder);
  }
  return paths.map((location) => ({ location }));
}

function fileError(location: string, error: unknown, offset?: number): SourceError {
  const options = offset === undefined ? { cause: error } : { cause: error, offset };
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new SourceError(location, 'no such file; check the path', { ...options, kind: 'missing' });
    case 'EACCES':
    case 'EPERM':
      return new SourceError(location, 'permission denied; make it readable for this user', options);
    case 'EISDIR':
      return new SourceError(location, 'is a directory; expected a tar file', options);
    default:
      return new SourceError(location, reasonOf(error), options);
  }
}
