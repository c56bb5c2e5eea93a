/** A lane's stream inside a worker: shards -> compressed samples -> shuffle buffer -> decoded good samples. */
import type { DecodedImage } from '../augment/augmenter.js';
import { MAX_KEY_BYTES } from '../batch/slots.js';
import { bufferRandom, laneShards, type PlanOptions, shuffled } from '../plan/lanes.js';
import { type ReadOptions, readShard, type ShardSample } from '../shard/read.js';
import { decodeImage } from './decode.js';

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
  /** How remote shards are read. */
  readonly reading?: Pick<ReadOptions, 'cache' | 'onCache' | 'onRetry' | 'onVersion'>;
}

/** Samples kept between the shard and the shuffle buffer, so that the network is read while others decode. */
const READ_AHEAD = 4;

/** The good samples of one lane in one epoch, in order. */
export async function* laneSamples(options: LaneOptions): AsyncGenerator<GoodSample> {
  const { plan, epoch, lane, shards, signal } = options;
  const read = readAhead(readLane(options), READ_AHEAD);
  let taken = 0;
  for await (const sample of plan.shuffle > 0 ? shuffled(read, plan.shuffle, bufferRandom(plan, epoch, lane)) : read) {
    if (signal.aborted) return;
    if (++taken <= options.skip) continue;
    let pixels: DecodedImage;
    try {
      pixels = await decode(sample);
    } catch (error) {
      options.onBad({ shard: shards[sample.shard] ?? '', key: sample.key, offset: sample.offset, reason: reasonOf(error), epoch });
      continue;
    }
    yield { ...sample, taken, pixels };
  }
}

async function* readLane({ plan, epoch, lane, shards, signal, reading }: LaneOptions): AsyncGenerator<Located> {
  for (const { shard, part, parts } of laneShards(plan, epoch, lane)) {
    for await (const sample of readShard(shards[shard] as string, { part: { part, parts }, signal, ...reading }))
      yield { ...sample, shard };
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
