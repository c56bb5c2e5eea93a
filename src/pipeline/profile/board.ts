/** The meters of one pipeline, on the consumer's thread: makes the shared memory and reads it out. */
import type { Worker } from 'node:worker_threads';
import type { Recipe } from '../augment/recipe.js';
import { usableCores, uvThreads } from '../machine.js';
import { ConsumerMeters } from './consumer-meters.js';
import { clock, Meters, type MeterShape, type Span } from './meters.js';
import { type LoopTotals, type PipelineMeters, type PipelineSetup, readMeters } from './snapshot.js';

interface Options {
  readonly workers: number;
  readonly lanes: number;
  readonly slots: number;
  readonly batchSize: number;
  readonly shuffle: number;
  readonly spans: number;
  readonly augment: 'worker' | 'device';
}

export class MeterBoard {
  readonly shape: MeterShape;
  readonly buffer: SharedArrayBuffer;
  readonly consumer: ConsumerMeters;
  readonly #meters: Meters;
  readonly #setup: PipelineSetup;
  #loops: readonly LoopTotals[];

  constructor(
    { workers, lanes, slots, batchSize, shuffle, spans, augment }: Options,
    batchBytes: number,
    { views }: Recipe,
    shards: readonly string[],
  ) {
    this.shape = { workers, lanes, slots, spans, views: Object.keys(views) };
    this.#meters = new Meters(this.shape);
    this.buffer = this.#meters.buffer;
    this.consumer = new ConsumerMeters(this.#meters, workers);
    this.#loops = Array.from({ length: workers }, () => ({ activeMs: 0, idleMs: 0 }));
    this.#setup = {
      workers,
      lanes,
      slots,
      batchSize,
      batchBytes,
      shuffle: shuffle * lanes,
      shards: shards.length,
      medium: shards.some((shard) => /^(https?|s3):/i.test(shard)) ? 'network' : 'disk',
      views: this.shape.views,
      augment,
      cores: usableCores(),
      uvThreads: uvThreads(),
    };
  }

  /** Reads the workers' event loops. A thread that has ended says nothing any more; what it said last stays. */
  readLoops(threads: readonly Worker[] = []): void {
    if (threads.length < this.shape.workers) return;
    this.#loops = threads.map(({ performance }) => {
      const { active, idle } = performance.eventLoopUtilization();
      return { activeMs: active, idleMs: idle };
    });
  }

  /** @param full batches that are ready */
  read(threads: readonly Worker[] | undefined, full: number): PipelineMeters {
    this.readLoops(threads);
    return readMeters({ meters: this.#meters, setup: this.#setup, loops: this.#loops, full, ms: clock() });
  }

  spans(): Span[] {
    return this.#meters.spans();
  }
}
