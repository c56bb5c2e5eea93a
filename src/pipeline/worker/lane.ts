/** A lane's stream inside a worker: shards -> compressed samples -> shuffle buffer -> decoded good samples. */
import type { DecodedImage } from '../augment/augmenter.js';
import { MAX_KEY_BYTES } from '../batch/slots.js';
import { bufferRandom, laneShards, type PlanOptions, shuffled } from '../plan/lanes.js';
import { type LaneMeters, TASK, timed } from '../profile/lane-meters.js';
import { QUEUE, STAGE } from '../profile/stages.js';
import { readShard, type ShardSample } from '../shard/read.js';
import { decodeImage, undecodedImages } from './decode.js';

/** A sample and the ordinal of its shard in the pipeline's list. */
interface Located extends ShardSample {
  readonly shard: number;
}

/** A sample that could not be used. */
export interface BadSample {
  readonly shard: string;
  readonly key: string;
  /** Where the member's tar header begins in the shard. */
  readonly offset: number;
  readonly reason: string;
  readonly epoch: number;
}

export interface GoodSample extends Located {
  readonly pixels: DecodedImage;
  /** Samples taken from the stream up to and with this one. */
  readonly taken: number;
}

export interface LaneOptions {
  readonly plan: PlanOptions;
  readonly shards: readonly string[];
  readonly epoch: number;
  readonly lane: number;
  /** Samples of the stream to pass over without decoding them: those before a resume. */
  readonly skip: number;
  readonly signal: AbortSignal;
  readonly onBad: (bad: BadSample) => void;
  readonly meters: LaneMeters;
}

/** Samples kept between the shard and the shuffle buffer, so that the network is read while others decode. */
const READ_AHEAD = 4;

/** The good samples of one lane in one epoch, in order. */
export async function* laneSamples(options: LaneOptions): AsyncGenerator<GoodSample> {
  const { plan, epoch, lane, shards, signal, meters } = options;
  let ready = true;
  const read = readAhead(readLane(options), READ_AHEAD, (settled) => {
    ready &&= settled;
  });
  let taken = 0;
  meters.enter(TASK.find, STAGE.shuffle);
  for await (const sample of plan.shuffle > 0 ? shuffled(read, plan.shuffle, bufferRandom(plan, epoch, lane)) : read) {
    if (signal.aborted) return;
    meters.queue(QUEUE.compressed, -1);
    if (++taken <= options.skip) continue;
    meters.found(STAGE.shuffle, ready);
    meters.enter(TASK.find, STAGE.decode);
    meters.bytes(STAGE.decode, sample.image.byteLength);
    meters.decoderQueue(undecodedImages());
    let pixels: DecodedImage;
    try {
      pixels = await decode(sample);
    } catch (error) {
      meters.failed(STAGE.decode);
      options.onBad({ shard: shards[sample.shard] ?? '', key: sample.key, offset: sample.offset, reason: reasonOf(error), epoch });
      ready = true;
      meters.enter(TASK.find, STAGE.shuffle);
      continue;
    }
    meters.leave(TASK.find);
    yield { ...sample, taken, pixels };
    ready = true;
    meters.enter(TASK.find, STAGE.shuffle);
  }
  meters.leave(TASK.find);
}

async function* readLane({ plan, epoch, lane, shards, signal, meters }: LaneOptions): AsyncGenerator<Located> {
  for (const { shard, part, parts } of laneShards(plan, epoch, lane)) {
    const onRetry = () => meters.failed(STAGE.source);
    const samples = readShard(shards[shard] as string, { part: { part, parts }, signal, onRetry, meters });
    for await (const sample of timed(samples, meters, { task: TASK.read, stage: STAGE.tar, bytes: ({ image }) => image.byteLength })) {
      meters.queue(QUEUE.compressed, 1);
      yield { ...sample, shard };
    }
  }
}

async function decode(sample: ShardSample): Promise<DecodedImage> {
  if (sample.problem !== undefined) throw new Error(sample.problem);
  const bytes = Buffer.byteLength(sample.key);
  if (bytes > MAX_KEY_BYTES) throw new Error(`its key is ${bytes} bytes long, at most ${MAX_KEY_BYTES} are kept`);
  return decodeImage(sample.image);
}

function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  // libvips keeps one error text for the process; when another thread has taken it sharp is left with this.
  return reason === 'Unknown error' ? 'the image cannot be decoded; it is damaged or cut off' : reason;
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
