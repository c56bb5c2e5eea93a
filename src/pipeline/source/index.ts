/**
 * Where shard bytes come from. One file a backend: `file`, `http`, `s3`; all answer to the same contract, so nothing
 * after this folder knows which one it reads.
 */
import { resolve } from 'node:path';
import { expandBraces } from './braces.js';
import { askFile, listFiles, openFile } from './file.js';
import { identityOf, schemeOf, shardName } from './identity.js';
import { type FoundShard, type ListOptions, reasonOf, SourceError, type OpenOptions } from './source.js';

export { formatByteSize, parseByteSize } from '../../common/byte-size.js';
export { openCacheFolder, sweepRun } from './cache-folder.js';
export {
  type CacheEvent,
  type CacheFolder,
  type FoundShard,
  type OpenOptions,
  type RetryEvent,
  SourceError,
  type VersionEvent,
} from './source.js';

interface Backend {
  /** Shards that a brace-free specification names; none when nothing matches. */
  list(spec: string, options: ListOptions): Promise<FoundShard[]>;
  /** Size and version of a shard. */
  ask(location: string, options: OpenOptions): Promise<FoundShard>;
  open(location: string, options: OpenOptions): AsyncGenerator<Uint8Array, void, undefined>;
}

const file: Backend = { list: listFiles, ask: askFile, open: openFile };
const s3 = remote(async () => {
  const { askS3, listS3, openS3 } = await import('./s3.js');
  return { list: listS3, ask: askS3, open: openS3 };
});
const http = remote(async () => {
  const { askHttp, listHttp, openHttp } = await import('./http.js');
  return { list: listHttp, ask: askHttp, open: openHttp };
});

const BACKENDS: Readonly<Record<string, Backend>> = { file, http, https: http, s3 };

let remoteUsed = false;

/**
 * A backend whose modules are loaded at its first use. HTTP and S3 are half of what a worker would hold in memory, and V8 goes
 * through all of it several times a second while images are decoded.
 */
function remote(load: () => Promise<Backend>): Backend {
  const backend = (): Promise<Backend> => {
    remoteUsed = true;
    return load();
  };
  return {
    list: async (spec, options) => (await backend()).list(spec, options),
    ask: async (location, options) => (await backend()).ask(location, options),
    async *open(location, options) {
      yield* (await backend()).open(location, options);
    },
  };
}

function backendOf(location: string): Backend {
  const scheme = schemeOf(location);
  if (scheme === undefined) return file;
  const backend = BACKENDS[scheme];
  if (backend) return backend;
  const known = 'expected a path, file://, http://, https:// or s3://';
  throw new SourceError(location, `"${scheme}://" is not supported; ${known} (GCS, R2 and MinIO speak S3: set AWS_ENDPOINT_URL)`, {
    kind: 'malformed',
  });
}

/**
 * Expands shard specifications to an ordered list of locations: absolute paths or URLs.
 *
 * A specification is a path, a directory (its tar files), a glob, `file://`, `http(s)://`, `s3://bucket/key`,
 * `s3://bucket/prefix/` or `s3://bucket/a-*.tar`, any of them with braces (`train-{000..146}.tar`), or a list of
 * specifications: `@list` or a name that ends in `.txt`, one a line, `#` begins a comment. Relative paths, those of a list too, start from `cwd`.
 * Order is that of the specifications, then that of the braces, then by code unit.
 * @throws SourceError for a specification that matches nothing, a shard named twice, or an unknown scheme
 */
export async function listShards(specs: readonly string[], options: ListOptions = {}): Promise<string[]> {
  return (await findShards(specs, options)).map(({ location }) => location);
}

/** The same, with what the listing has said of each shard on the way. */
export async function findShards(specs: readonly string[], options: ListOptions = {}): Promise<FoundShard[]> {
  const named = new Map<string, { readonly found: FoundShard; readonly by: string }>();
  for (const spec of specs) {
    for (const line of isList(spec) ? await readList(spec, options) : [spec]) {
      for (const found of await expand(line, options)) {
        const { location } = found;
        const identity = identityOf(location);
        const earlier = named.get(identity);
        if (earlier !== undefined) {
          const apart = earlier.found.location === location ? '' : ' (the two differ in login or signature only)';
          throw new SourceError(
            location,
            `is named twice, by "${identityOf(earlier.by)}" and by "${identityOf(line)}"${apart}; its samples would be seen twice an epoch, so name it once`,
            { kind: 'malformed' },
          );
        }
        named.set(identity, { found, by: line });
      }
    }
  }
  if (named.size === 0) throw new SourceError('(none)', 'names no shard; expected for example train-{000..146}.tar', { kind: 'missing' });
  return [...named.values()].map(({ found }) => found);
}

/**
 * Asks where a shard lies for its size and version: the file system, or the server for the price of a byte.
 * @throws SourceError, of kind 'missing' when there is no such shard; the signal's reason when it is aborted
 */
export function askShard(location: string, options: Pick<OpenOptions, 'signal' | 'onRetry'> = {}): Promise<FoundShard> {
  return backendOf(location).ask(location, options);
}

export function isRemote(location: string): boolean {
  return backendOf(location) !== file;
}

/**
 * Streams the bytes of one shard, in chunks of at least 64 KiB but for the last of a file or a connection. An HTTP or
 * S3 read goes on where it was after a dropped, stalled or refused connection, and never joins two versions of an object.
 * Leaving the iteration closes the file or the socket.
 * @throws SourceError that names the location and what to do; the signal's reason when it is aborted
 */
export function openShard(location: string, options: OpenOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  const { start = 0, end = start } = options;
  if (!Number.isSafeInteger(start) || start < 0)
    throw new RangeError(`start ${start} is not a byte offset; expected a whole number from 0 up`);
  if (!Number.isSafeInteger(end) || end < start)
    throw new RangeError(`end ${end} is not a byte offset; expected a whole number from ${start} up`);
  return backendOf(location).open(location, options);
}

/** Closes the sockets of this thread and forgets credentials; a later read opens new ones. */
export async function closeSources(): Promise<void> {
  if (!remoteUsed) return;
  const [{ forgetCredentials }, { closeSockets }] = await Promise.all([import('./aws.js'), import('./connection.js')]);
  forgetCredentials();
  await closeSockets();
}

async function expand(spec: string, options: ListOptions): Promise<FoundShard[]> {
  if (spec.trim() === '') throw new SourceError('""', 'names no shard; expected for example train-{000..146}.tar', { kind: 'missing' });
  const shards: FoundShard[] = [];
  const named = braces(spec);
  const nothing: string[] = [];
  for (const one of named) {
    options.signal?.throwIfAborted();
    const found = await backendOf(one).list(one, options);
    if (found.length === 0 && options.mayBeMissing?.has(shardName(one))) shards.push({ location: placeOf(one, options) });
    else if (found.length === 0) nothing.push(one);
    for (const shard of found) shards.push(shard);
  }
  const [first] = nothing;
  if (first !== undefined) {
    const others = nothing.length === 1 ? '' : `, ${nothing.length} of whose ${named.length} names match none`;
    const of = first === spec ? '' : ` (of "${identityOf(spec)}"${others})`;
    throw new SourceError(first, `matches no shard${of}; check the spelling, or name what exists`, { kind: 'missing' });
  }
  return shards;
}

/** Where a shard would lie. */
function placeOf(spec: string, { cwd = '.' }: ListOptions): string {
  return schemeOf(spec) === undefined ? resolve(cwd, spec) : spec;
}

function braces(spec: string): string[] {
  try {
    return expandBraces(spec);
  } catch (error) {
    throw new SourceError(spec, reasonOf(error), { kind: 'malformed', cause: error });
  }
}

function isList(spec: string): boolean {
  return spec.startsWith('@') || /\.txt$/i.test(spec);
}

async function readList(spec: string, { cwd = '.', ...options }: ListOptions): Promise<string[]> {
  const parts: Uint8Array[] = [];
  const location = spec.replace(/^@/, '');
  for await (const part of openShard(schemeOf(location) === undefined ? resolve(cwd, location) : location, options)) parts.push(part);
  const lines = Buffer.concat(parts).toString('utf8').split(/\r?\n/);
  const specs = lines.map((line) => line.replace(/(^|\s)#.*$/, '').trim()).filter((line) => line !== '');
  const nested = specs.find(isList);
  if (nested !== undefined)
    throw new SourceError(spec, `names another list, "${nested}"; a list may hold shard specifications only`, { kind: 'malformed' });
  if (specs.length === 0)
    throw new SourceError(spec, 'is a list without a shard; expected one specification a line', { kind: 'malformed' });
  return specs;
}
