/** A lane's stream inside a worker: shards -> compressed samples -> shuffle buffer -> decoded good samples. */
import type { DecodedImage } from '../augment/augmenter.js';
import { MAX_KEY_BYTES } from '../batch/slots.js';
import { laneShare } from '../plan/lanes.js';
import { bufferRandom, comeBefore, ShuffleBuffer, shuffled } from '../plan/shuffle.js';
import { fetchImages } from '../shard/fetch.js';
import { decodeImage } from './decode.js';
import { type LaneSample, readLane, type ReadLaneOptions } from './read-lane.js';

/** A sample that could not be used. */
export interface BadSample {
  readonly shard: string;
  readonly key: string;
  /** Where the member's tar header begins in the shard. */
  readonly offset: number;
  readonly reason: string;
  readonly epoch: number;
}

export interface GoodSample extends LaneSample {
  readonly pixels: DecodedImage;
  /** Samples taken from the stream up to and with this one. */
  readonly taken: number;
}

export interface LaneOptions extends ReadLaneOptions {
  /** Samples taken before a resume, which are passed over without being decoded, and the good ones among them. */
  readonly done: { readonly taken: number; readonly good: number };
  readonly onBad: (bad: BadSample) => void;
}

/** Samples kept between the shard and the shuffle buffer, so that the network is read while others decode. */
const READ_AHEAD = 4;

/**
 * The good samples of one lane in one epoch, in order. A lane that owes a number of samples and has fewer good ones goes
 * through its run again.
 */
export async function* laneSamples(options: LaneOptions): AsyncGenerator<GoodSample> {
  const { plan, epoch, lane, shards, signal } = options;
  const { own, quota } = laneShare(plan, lane);
  let { taken, good } = options.done;
  while (good < quota) {
    const again = taken >= own;
    if (again && good === 0)
      throw new Error(
        `lane ${lane} has no usable sample in epoch ${epoch}: none of its ${own} could be decoded; mend the shards or use fewer lanes`,
      );
    for await (const sample of passThrough(options, taken % own)) {
      if (signal.aborted) return;
      taken++;
      let pixels: DecodedImage;
      try {
        pixels = await decode(sample);
      } catch (error) {
        if (again) continue;
        options.onBad({ shard: shards[sample.shard] ?? '', key: sample.key, offset: sample.offset, reason: reasonOf(error), epoch });
        continue;
      }
      good++;
      yield { ...sample, taken, pixels };
      if (good === quota) return;
    }
    if (signal.aborted || own === Infinity) return;
  }
}

/** The lane's samples as they leave the shuffle buffer, after the first `skip`. */
async function* passThrough(options: LaneOptions, skip: number): AsyncGenerator<LaneSample> {
  const { plan, epoch, lane, signal } = options;
  const buffer = new ShuffleBuffer<LaneSample>(plan.shuffle, bufferRandom(plan, epoch, lane));
  const read = readAhead(readLane(options, comeBefore(skip, plan.shuffle)), READ_AHEAD);
  const stop = new AbortController();
  let fetched = new Map<LaneSample, Promise<Buffer>>();
  let left = 0;
  try {
    for await (const sample of shuffled(read, buffer)) {
      if (++left <= skip) {
        // Every sample that came by name has come by now; those that have not left are needed after all.
        if (left === skip) fetched = fetchNamed(buffer.items, options, AbortSignal.any([signal, stop.signal]));
        continue;
      }
      const image = fetched.get(sample);
      fetched.delete(sample);
      yield image ? { ...sample, image: await image } : sample;
    }
  } finally {
    // No request outlives the lane.
    stop.abort();
    await Promise.allSettled(fetched.values());
  }
}

function fetchNamed(
  samples: readonly LaneSample[],
  { shards, indexDir = '' }: LaneOptions,
  signal: AbortSignal,
): Map<LaneSample, Promise<Buffer>> {
  const requests = samples.flatMap((sample) => {
    const { entry, shard, problem } = sample;
    return entry && problem === undefined ? [{ location: shards[shard] ?? '', entry, sample }] : [];
  });
  const images = fetchImages(requests, { signal, indexDir });
  return new Map(images.map((image, i) => [requests[i]?.sample as LaneSample, image]));
}

async function decode(sample: LaneSample): Promise<DecodedImage> {
  if (sample.problem !== undefined || !sample.image) throw new Error(sample.problem ?? 'the image was not read');
  const bytes = Buffer.byteLength(sample.key);
  if (bytes > MAX_KEY_BYTES) throw new Error(`its key is ${bytes} bytes long, at most ${MAX_KEY_BYTES} are kept`);
  return decodeImage(sample.image);
}

function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  // libvips keeps one error text for the process; when another thread has taken it sharp is left with this.
  return reason === 'Unknown error' ? 'the image cannot be decoded; it is damaged or cut off' : reason;
}

/** Runs up to `count` items ahead of its reader. */
async function* readAhead<T>(items: AsyncGenerator<T>, count: number): AsyncGenerator<T> {
  const pending: Promise<IteratorResult<T>>[] = [];
  const ask = () => {
    const next = items.next();
    // The failure is met when its turn comes; until then it must not count as unhandled.
    next.catch(() => undefined);
    pending.push(next);
  };
  try {
    for (let i = 0; i < count; i++) ask();
    for (let next = await pending.shift(); next && !next.done; next = await pending.shift()) {
      ask();
      yield next.value;
    }
  } finally {
    await items.return(undefined);
  }
}
