/** Fetches single samples of a shard by the bytes that its index gives. */
import { crc32 } from 'node:zlib';
import { openShard, SourceError, type OpenOptions } from '../source/index.js';
import type { SampleFields, ShardSample } from './group.js';
import { readShard } from './read.js';
import { ShardError } from './shard-error.js';
import { indexPath, type IndexedSample } from './shard-index.js';

/** An image that is to be fetched. */
export interface ImageRequest {
  readonly location: string;
  readonly entry: IndexedSample;
}

/** A sample that is to be fetched. */
export interface SampleRequest extends ImageRequest {
  /** Ordinal in the shard. */
  readonly index: number;
  /** Byte at which it ends. */
  readonly end: number;
  /** Whether a neighbour has its key. */
  readonly repeated: boolean;
}

/** What is fetched of it: the image, and the fields that are to be kept. */
export type FetchedSample = Pick<ShardSample, 'image' | 'kept' | 'keptProblem'>;

export interface FetchOptions extends Pick<OpenOptions, 'signal' | 'onRetry' | 'cache' | 'onCache' | 'onVersion'> {
  /** The folder that the index came from, for messages. */
  readonly indexDir: string;
  /** Which members the index took for images, and which further ones are kept. */
  readonly fields?: SampleFields | undefined;
}

/** Requests under way at the same time. */
const PARALLEL = 4;
/** Up to about one photograph between two samples is read and thrown away rather than asked around. */
const GAP_BYTES = 128 << 10;

/**
 * Fetches images, neighbours in one request. When one cannot be had, its promise and those of the requests queued behind
 * its own reject.
 * @returns an image for each request, in their order
 */
export function fetchImages(requests: readonly ImageRequest[], options: FetchOptions): Promise<Buffer>[] {
  return fetchInRuns(requests, (run) => fetchImageRun(run, options));
}

/** The same for samples with the fields that are kept, if there are any. */
export function fetchSamples(requests: readonly SampleRequest[], options: FetchOptions): Promise<FetchedSample>[] {
  return fetchInRuns(requests, async (run) =>
    options.fields?.kept ? fetchSampleRun(run, options) : (await fetchImageRun(run, options)).map((image) => ({ image })),
  );
}

function fetchInRuns<Request extends ImageRequest, Fetched>(
  requests: readonly Request[],
  fetchRun: (run: readonly Request[]) => Promise<Fetched[]>,
): Promise<Fetched>[] {
  const results = new Map<Request, Promise<Fetched>>();
  const queues = Array.from({ length: PARALLEL }, (): Promise<unknown> => Promise.resolve());
  neighbours(requests).forEach((run, i) => {
    const fetched = (queues[i % PARALLEL] ?? Promise.resolve()).then(() => fetchRun(run));
    queues[i % PARALLEL] = fetched;
    // A failure is met when its sample's turn comes; until then it must not count as unhandled.
    fetched.catch(() => undefined);
    run.forEach((request, place) => {
      const result = fetched.then((all) => all[place] as Fetched);
      result.catch(() => undefined);
      results.set(request, result);
    });
  });
  return requests.map((request) => results.get(request) as Promise<Fetched>);
}

/** Cuts requests into runs of one shard with small gaps. An image that is stored sparse is a run of its own. */
function neighbours<Request extends ImageRequest>(requests: readonly Request[]): Request[][] {
  const sorted = requests.toSorted((a, b) => compare(a.location, b.location) || a.entry.offset - b.entry.offset);
  const runs: Request[][] = [];
  for (const request of sorted) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const plain = last?.entry.sparseEnd === undefined && request.entry.sparseEnd === undefined;
    const near = last?.location === request.location && request.entry.offset - (last.entry.offset + last.entry.size) <= GAP_BYTES;
    if (run && plain && near) run.push(request);
    else runs.push([request]);
  }
  return runs;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The images of neighbours in one shard, in memory of their own. */
async function fetchImageRun(run: readonly ImageRequest[], { indexDir, fields, ...options }: FetchOptions): Promise<Buffer[]> {
  const [first] = run;
  const last = run.at(-1);
  if (!first || !last) return [];
  if (first.entry.sparseEnd !== undefined) return [await fetchSparseImage(first, first.entry.sparseEnd, { indexDir, fields, ...options })];
  const images = run.map(({ entry }) => Buffer.allocUnsafeSlow(entry.size));
  const end = last.entry.offset + last.entry.size;
  let at = first.entry.offset;
  let next = 0;
  for await (const chunk of openShard(first.location, { ...options, start: at, end })) {
    for (let i = next; i < run.length; i++) {
      const { offset, size } = (run[i] as ImageRequest).entry;
      if (offset >= at + chunk.byteLength) break;
      const from = Math.max(offset, at);
      images[i]?.set(chunk.subarray(from - at, Math.min(offset + size - at, chunk.byteLength)), from - offset);
      if (offset + size <= at + chunk.byteLength) next = i + 1;
    }
    at += chunk.byteLength;
  }
  run.forEach(({ location, entry }, i) => {
    if (crc32(images[i] ?? '') !== entry.crc) throw otherChecksum(location, indexPath(indexDir, location, fields), entry);
  });
  return images;
}

/** An image in pieces: what tells where they belong lies before them, behind the beginning of the sample. */
async function fetchSparseImage({ location, entry }: ImageRequest, end: number, { indexDir, ...options }: FetchOptions): Promise<Buffer> {
  const range = { from: { start: entry.start, index: 0 }, end };
  try {
    for await (const { image } of readShard(location, { ...options, ...range })) if (crc32(image) === entry.crc) return image;
  } catch (error) {
    if (!(error instanceof ShardError)) throw error;
  }
  throw otherChecksum(location, indexPath(indexDir, location, options.fields), entry);
}

/** The samples of neighbours in one shard, with the fields that are kept. */
async function fetchSampleRun(run: readonly SampleRequest[], { indexDir, ...options }: FetchOptions): Promise<FetchedSample[]> {
  const [first] = run;
  const last = run.at(-1);
  if (!first || !last) return [];
  const { location } = first;
  const file = indexPath(indexDir, location, options.fields);
  const wanted = new Map(run.map((request) => [request.index, request]));
  const samples = new Map<number, FetchedSample>();
  const range = { from: { start: first.entry.start, index: first.index }, end: last.end };
  try {
    for await (const { index, image, kept, keptProblem } of readShard(location, { ...options, ...range })) {
      const request = wanted.get(index);
      if (!request) continue;
      if (crc32(image) !== request.entry.crc) throw otherChecksum(location, file, request.entry);
      samples.set(index, { image, ...(kept && { kept: request.repeated ? {} : kept }), ...(keptProblem !== undefined && { keptProblem }) });
    }
  } catch (error) {
    if (!(error instanceof ShardError)) throw error;
    throw changedShard(location, file, `no sample begins at byte ${first.entry.start}`, first.entry.start);
  }
  return run.map(({ index, entry }) => {
    const sample = samples.get(index);
    if (!sample) throw changedShard(location, file, `it has no ${entry.key} where one was`, entry.start);
    return sample;
  });
}

function otherChecksum(location: string, index: string, { key, offset }: IndexedSample): SourceError {
  return changedShard(location, index, `the checksum of ${key} is another`, offset);
}

/** A shard is not what its index, the file `index`, says. */
export function changedShard(location: string, index: string, problem: string, offset: number): SourceError {
  return new SourceError(
    location,
    `has changed since it was indexed: ${problem}; put the old shard back, or remove ${index} and begin the epoch again`,
    { offset },
  );
}
