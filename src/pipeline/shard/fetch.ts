/** Fetches single samples of a shard by the bytes that its index gives. */
import { crc32 } from 'node:zlib';
import { openShard, SourceError, type OpenOptions } from '../source/index.js';
import type { SampleFields } from './group.js';
import { indexPath, type IndexedSample } from './shard-index.js';

/** A sample that is to be fetched. */
export interface SampleRequest {
  readonly location: string;
  readonly entry: IndexedSample;
}

export interface FetchOptions extends Pick<OpenOptions, 'signal' | 'onRetry' | 'cache' | 'onCache' | 'onVersion'> {
  /** The folder that the index came from, for messages. */
  readonly indexDir: string;
  /** Which members the index took for images. */
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
export function fetchImages(requests: readonly SampleRequest[], options: FetchOptions): Promise<Buffer>[] {
  const images = new Map<SampleRequest, Promise<Buffer>>();
  const queues = Array.from({ length: PARALLEL }, (): Promise<unknown> => Promise.resolve());
  neighbours(requests).forEach((run, i) => {
    const fetched = (queues[i % PARALLEL] ?? Promise.resolve()).then(() => fetchRun(run, options));
    queues[i % PARALLEL] = fetched;
    // A failure is met when its sample's turn comes; until then it must not count as unhandled.
    fetched.catch(() => undefined);
    run.forEach((request, place) => {
      const image = fetched.then((all) => all[place] as Buffer);
      image.catch(() => undefined);
      images.set(request, image);
    });
  });
  return requests.map((request) => images.get(request) as Promise<Buffer>);
}

/** Cuts requests into runs of one shard with small gaps. */
function neighbours(requests: readonly SampleRequest[]): SampleRequest[][] {
  const sorted = requests.toSorted((a, b) => compare(a.location, b.location) || a.entry.offset - b.entry.offset);
  const runs: SampleRequest[][] = [];
  for (const request of sorted) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const near = last?.location === request.location && request.entry.offset - (last.entry.offset + last.entry.size) <= GAP_BYTES;
    if (run && near) run.push(request);
    else runs.push([request]);
  }
  return runs;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The images of neighbours in one shard, in memory of their own. */
async function fetchRun(run: readonly SampleRequest[], { indexDir, fields, ...options }: FetchOptions): Promise<Buffer[]> {
  const images = run.map(({ entry }) => Buffer.allocUnsafeSlow(entry.size));
  const [first] = run;
  const last = run.at(-1);
  if (!first || !last) return images;
  const end = last.entry.offset + last.entry.size;
  let at = first.entry.offset;
  let next = 0;
  for await (const chunk of openShard(first.location, { ...options, start: at, end })) {
    for (let i = next; i < run.length; i++) {
      const { offset, size } = (run[i] as SampleRequest).entry;
      if (offset >= at + chunk.byteLength) break;
      const from = Math.max(offset, at);
      images[i]?.set(chunk.subarray(from - at, Math.min(offset + size - at, chunk.byteLength)), from - offset);
      if (offset + size <= at + chunk.byteLength) next = i + 1;
    }
    at += chunk.byteLength;
  }
  run.forEach(({ location, entry }, i) => {
    if (crc32(images[i] ?? '') !== entry.crc)
      throw changedShard(location, indexPath(indexDir, location, fields), `the checksum of ${entry.key} is another`, entry.offset);
  });
  return images;
}

/** A shard is not what its index, the file `index`, says. */
export function changedShard(location: string, index: string, problem: string, offset: number): SourceError {
  return new SourceError(
    location,
    `has changed since it was indexed: ${problem}; put the old shard back, or remove ${index} and begin the epoch again`,
    { offset },
  );
}
