/** A set of labelled pictures -> shards. The bytes depend on the options alone, not on the number of threads. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { ShardWriter, shardPattern, type ShardMember, type WrittenShard } from '../pipeline/shard/write.js';
import type { SampleOptions } from './sample.js';
import type { SynthTask } from './worker.js';

export interface SynthOptions extends SampleOptions {
  /** Folder of the shards; made when absent. */
  readonly dir: string;
  /** Shards are named `PREFIX-NUMBER.tar`. */
  readonly prefix: string;
  /** Images. */
  readonly count: number;
  /** Images in a shard. */
  readonly perShard: number;
  /** Threads; as many as the machine runs at once by default. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
  /** Called with the number of images written so far. */
  readonly onProgress?: (done: number) => void;
}

export interface SynthReport {
  readonly shards: readonly WrittenShard[];
  /** Names all shards, such as `train-{000..003}.tar`. */
  readonly pattern: string;
  readonly images: number;
  /** Bytes of the shards. */
  readonly bytes: number;
  readonly meanJpegBytes: number;
  readonly imagesPerSecond: number;
}

/** Images a task: long enough to hide the hand-over, short enough to abort soon. */
const TASK = 8;
const DIGITS = 3;

/** @throws ShardExistsError when `dir` holds shards of the prefix; the signal's reason when it aborts */
export async function synthesise(options: SynthOptions): Promise<SynthReport> {
  const { dir, prefix, count, perShard, threads = availableParallelism(), signal, onProgress } = options;
  const digits = Math.max(DIGITS, String(Math.ceil(count / perShard) - 1).length);
  const started = performance.now();
  await using writer = await ShardWriter.open({ dir, prefix, perShard, digits });
  let done = 0;
  let jpegBytes = 0;
  for await (const samples of makeInOrder(options, threads)) {
    for (const members of samples) {
      signal?.throwIfAborted();
      await writer.add(members);
      jpegBytes += members[0]?.data.length ?? 0;
      done++;
      onProgress?.(done);
    }
  }
  const shards = await writer.close();
  return {
    shards,
    pattern: shardPattern(prefix, shards.length, digits),
    images: done,
    bytes: shards.reduce((sum, shard) => sum + shard.bytes, 0),
    meanJpegBytes: Math.round(jpegBytes / done),
    imagesPerSecond: Math.round((done / (performance.now() - started)) * 10_000) / 10,
  };
}

/** Runs tasks on a pool, two a thread in flight, and yields their samples in order. */
async function* makeInOrder({ seed, size, photo, quality, count }: SynthOptions, threads: number): AsyncGenerator<ShardMember[][]> {
  const options: SampleOptions = { seed, photo, quality, ...(size && { size }) };
  const pool = new Piscina<SynthTask, ShardMember[][]>({
    filename: new URL('worker.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
  });
  const inFlight: Promise<ShardMember[][]>[] = [];
  try {
    for (let first = 0; first < count; first += TASK) {
      const task = pool.run({ options, first, count: Math.min(TASK, count - first) });
      // Met when its turn comes; a failure before that must not count as unhandled.
      task.catch(() => undefined);
      inFlight.push(task);
      if (inFlight.length >= 2 * threads) yield (await inFlight.shift()) ?? [];
    }
    for (const task of inFlight) yield await task;
  } finally {
    await pool.destroy();
  }
}
