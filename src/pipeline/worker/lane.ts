/** A lane's stream inside a worker: shards -> compressed samples -> shuffle buffer -> decoded good samples. */
import type { Augmenter, DecodedImage, LoadedImage } from '../augment/augmenter.js';
import { PipelineAborted } from '../batch/control.js';
import { MAX_KEY_BYTES } from '../batch/slots.js';
import { laneShare } from '../plan/lanes.js';
import { bufferRandom, comeBefore, ShuffleBuffer, shuffled } from '../plan/shuffle.js';
import { type LaneMeters, TASK, timed } from '../profile/lane-meters.js';
import { QUEUE, STAGE } from '../profile/stages.js';
import { type FetchedSample, fetchSamples } from '../shard/fetch.js';
import { identityOf } from '../source/identity.js';
import type { DraftTimes, Window } from '../jpeg/draft.js';
import type { SampleStream } from '../augment/parameters.js';
import { leaveCompressed } from './compressed.js';
import { decodeProblem, type ImageMemory, loadImage, undecodedImages } from './decode.js';
import type { Decoder } from './decoders.js';
import type { Claim, DecodeRoom } from './decode-room.js';
import type { DecodedCache } from './decoded-cache.js';
import { imageHeader } from './image-header.js';
import { type LaneSample, readLane, type ReadLaneOptions } from './read-lane.js';

/** A sample that could not be used. */
export interface BadSample {
  /** Path or URL of the shard, without login and signature. */
  readonly shard: string;
  readonly key: string;
  /** Where the member's tar header begins in the shard. */
  readonly offset: number;
  readonly reason: string;
  readonly epoch: number;
}

export interface GoodSample extends LaneSample {
  /** Of its random numbers; by this very object the augmenter knows what it has drawn. */
  readonly stream: SampleStream;
  /** To be unloaded by who takes the sample. */
  readonly loaded: LoadedImage;
  /** Samples taken from the stream up to and with this one. */
  readonly taken: number;
}

export interface LaneOptions extends ReadLaneOptions {
  /** Samples taken before a resume, which are passed over without being decoded, and the good ones among them. */
  readonly done: { readonly taken: number; readonly good: number };
  /** What the images are decoded for. */
  readonly augmenter: Augmenter;
  readonly decoder: Decoder;
  /** Whether JPEGs much larger than every view needs are decoded at 1/2 or 1/4. */
  readonly draft: boolean;
  /** Pixels above which an image is bad. */
  readonly maxPixels: number;
  /** Whether images stay compressed that a device can decode. */
  readonly compressed: boolean;
  /** Where its pixels find room. */
  readonly room: DecodeRoom;
  /** Images of epochs before. */
  readonly decoded?: DecodedCache | undefined;
  readonly onBad: (bad: BadSample) => void;
  readonly meters: LaneMeters;
}

/** Samples kept between the shard and the shuffle buffer, so that the network is read while others decode. */
const READ_AHEAD = 4;

/**
 * The good samples of one lane in one epoch, in order. A lane that owes a number of samples and has fewer good ones goes
 * through its run again.
 */
export async function* laneSamples(options: LaneOptions): AsyncGenerator<GoodSample> {
  const { plan, epoch, lane, shards, signal, meters } = options;
  const { own, quota } = laneShare(plan, lane);
  let { taken, good } = options.done;
  meters.enter(TASK.find, STAGE.shuffle);
  while (good < quota) {
    const again = taken >= own;
    if (again && good === 0)
      throw new Error(
        `lane ${lane} has no usable sample in epoch ${epoch}: none of its ${own} could be decoded; mend the shards or use fewer lanes`,
      );
    for await (const sample of passThrough(options, taken % own)) {
      if (signal.aborted) return;
      taken++;
      meters.enter(TASK.find, STAGE.decode);
      meters.bytes(STAGE.decode, sample.image?.byteLength ?? 0);
      meters.decoderQueue(undecodedImages());
      const stream = { seed: plan.seed, epoch, shard: sample.shard, index: sample.index };
      let loaded: LoadedImage;
      try {
        loaded = await decode(sample, stream, good, options);
      } catch (error) {
        if (error instanceof PipelineAborted) throw error;
        meters.failed(STAGE.decode);
        meters.enter(TASK.find, STAGE.shuffle);
        if (again) continue;
        const shard = identityOf(shards[sample.shard] ?? '');
        options.onBad({ shard, key: sample.key, offset: sample.offset, reason: decodeProblem(error), epoch });
        continue;
      }
      good++;
      meters.leave(TASK.find);
      yield { ...sample, taken, stream, loaded };
      if (good === quota) return;
      meters.enter(TASK.find, STAGE.shuffle);
    }
    if (signal.aborted || own === Infinity) break;
  }
  meters.leave(TASK.find);
}

/** The lane's samples as they leave the shuffle buffer, after the first `skip`. */
async function* passThrough(options: LaneOptions, skip: number): AsyncGenerator<LaneSample> {
  const { plan, epoch, lane, signal, meters } = options;
  const buffer = new ShuffleBuffer<LaneSample>(plan.shuffle, bufferRandom(plan, epoch, lane));
  let waiting = 0;
  const queue = (samples: number) => {
    waiting += samples;
    meters.queue(QUEUE.compressed, samples);
  };
  const came = (sample: LaneSample) => {
    meters.bytes(STAGE.tar, sample.image?.byteLength ?? 0);
    queue(1);
  };
  const named = readLane(options, comeBefore(skip, plan.shuffle));
  const samples = timed(named, meters, { task: TASK.read, stage: STAGE.tar, onItem: came });
  let ready = true;
  const read = readAhead(samples, READ_AHEAD, (settled) => {
    ready &&= settled;
  });
  const stop = new AbortController();
  let fetched = new Map<LaneSample, Promise<FetchedSample>>();
  let left = 0;
  try {
    for await (const sample of shuffled(read, buffer)) {
      queue(-1);
      if (++left <= skip) {
        // Every sample that came by name has come by now; those that have not left are needed after all.
        if (left === skip) fetched = fetchNamed(buffer.items, options, AbortSignal.any([signal, stop.signal]));
        continue;
      }
      const rest = fetched.get(sample);
      fetched.delete(sample);
      const whole = rest ? { ...sample, ...(await rest) } : sample;
      meters.found(STAGE.shuffle, ready);
      ready = true;
      yield whole;
    }
  } finally {
    // No request outlives the lane.
    stop.abort();
    await Promise.allSettled(fetched.values());
    // A lane that has what it owes leaves the rest.
    queue(-waiting);
  }
}

function fetchNamed(
  samples: readonly LaneSample[],
  { shards, reading, indexDir = '' }: LaneOptions,
  signal: AbortSignal,
): Map<LaneSample, Promise<FetchedSample>> {
  const requests = samples.flatMap((sample) => {
    const { entry, shard, index, end = 0, repeated = false, problem } = sample;
    return entry && problem === undefined ? [{ location: shards[shard] ?? '', index, entry, end, repeated, sample }] : [];
  });
  const fetched = fetchSamples(requests, { signal, indexDir, ...reading });
  return new Map(fetched.map((rest, i) => [requests[i]?.sample as LaneSample, rest]));
}

/** @param good how many came before it in the epoch */
async function decode(sample: LaneSample, stream: SampleStream, good: number, options: LaneOptions): Promise<LoadedImage> {
  const { epoch, lane, room } = options;
  const claim = room.claim({ epoch, round: good, lane });
  try {
    const loaded = await loadSample(sample, claim, stream, options);
    claim.keep(loaded.bytes);
    return {
      ...loaded,
      unload() {
        loaded.unload();
        claim.give();
      },
    };
  } catch (error) {
    claim.give();
    throw error;
  }
}

async function loadSample(
  sample: LaneSample,
  claim: Claim,
  stream: SampleStream,
  { augmenter, decoded, decoder, draft: drafts, maxPixels, compressed, meters }: LaneOptions,
): Promise<LoadedImage> {
  const { image, problem = sample.keptProblem } = sample;
  if (problem !== undefined || !image) throw new Error(problem ?? 'the image was not read');
  const bytes = Buffer.byteLength(sample.key);
  if (bytes > MAX_KEY_BYTES) throw new Error(`its key is ${bytes} bytes long, at most ${MAX_KEY_BYTES} are kept`);
  const left = compressed ? await leaveCompressed(image, augmenter, stream, maxPixels) : undefined;
  if (left) {
    await claim.take(left.bytes);
    meters.leftCompressed();
    return left;
  }
  const shrink = (width: number, height: number): number => augmenter.shrink(width, height, stream);
  const draft = drafts ? (width: number, height: number): DraftTimes => augmenter.draft(width, height, stream) : undefined;
  const mayShrink = ({ width, height }: DecodedImage): boolean => shrink(width, height) > 1 || (draft?.(width, height) ?? 1) > 1;
  const kept = decoded?.get(sample, image);
  // A JPEG alone can be decoded smaller.
  if (kept && (imageHeader(image).format !== 'jpeg' || !mayShrink(kept))) {
    await claim.take(kept.data.byteLength);
    meters.decodedBefore();
    return augmenter.load(kept);
  }
  const options = { decoder, maxPixels, shrink, draft, room: (needed: number) => claim.take(needed) };
  if (decoded) {
    const both = keeping(augmenter, (pixels) => decoded.put(sample, image, pixels));
    return loadImage(image, metered(both, meters), options);
  }
  const windows = (width: number, height: number): readonly Window[] => augmenter.windows(width, height, stream);
  return loadImage(image, metered(augmenter, meters), { ...options, windows });
}

/** Times what the thread itself decodes. */
function metered(memory: ImageMemory<LoadedImage>, meters: LaneMeters): ImageMemory<LoadedImage> {
  return {
    load: (image) => memory.load(image),
    fill: (width, height, times, write) => memory.fill(width, height, times, (pixels) => meters.decoding(() => write(pixels))),
  };
}

/** The augmenter's memory; what comes there is kept for the epochs to come. */
function keeping(augmenter: Augmenter, keep: (image: DecodedImage) => void): ImageMemory<LoadedImage> {
  return {
    load(image) {
      // One that was decoded smaller is for this epoch's views alone.
      if (!image.original) keep(image);
      return augmenter.load(image);
    },
    fill(width, height, times, write) {
      return augmenter.fill(width, height, times, (data) => {
        const filled = write(data);
        if (filled && times === 1) keep({ width, height, data });
        return filled;
      });
    },
  };
}

/** Runs up to `count` items ahead of its reader; `onGet` is told of each item whether it was there when it was asked for. */
async function* readAhead<T>(items: AsyncGenerator<T>, count: number, onGet: (settled: boolean) => void): AsyncGenerator<T> {
  const pending: { readonly next: Promise<IteratorResult<T>>; settled: boolean }[] = [];
  const ask = () => {
    const entry = { next: items.next(), settled: false };
    // A failure is met when its turn comes; until then it must not count as unhandled.
    const settle = () => {
      entry.settled = true;
    };
    entry.next.then(settle, settle);
    pending.push(entry);
  };
  try {
    for (let i = 0; i < count; i++) ask();
    for (let entry = pending.shift(); entry; entry = pending.shift()) {
      const { settled } = entry;
      const next = await entry.next;
      if (next.done === true) return;
      onGet(settled);
      ask();
      yield next.value;
    }
  } finally {
    await items.return(undefined);
  }
}
