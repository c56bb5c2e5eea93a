/**
 * Counters of every stage, in shared memory: one block a thread, which alone writes it, so adding is a plain addition.
 * They are always on; what they cost is in docs/profile.md.
 *
 *   [ worker 0 | worker 1 | ... | consumer ] [ a time a slot ] [ state and time a lane ]
 *       `- [ a record a stage | ms a lane state | items a queue | decoder's queue | images | cache | thread's times | spans ]
 */
import { BUCKETS, bucketOf } from './histogram.js';
import { LANE_STATES, QUEUES, STAGES, viewStage } from './stages.js';
import type { ThreadTimes } from './thread-times.js';

/** Words of a stage's record, before its histogram. */
const COUNT = 0;
const MS = 1;
const BYTES = 2;
const FAILURES = 3;
/** Visits that found what they came for. */
const READY = 4;
const HISTOGRAM = 5;
const STAGE_WORDS = HISTOGRAM + BUCKETS;
/** Words of what a worker's thread does itself, and its times, milliseconds. */
const DECODED = 0;
const DECODING = 1;
const ON_CORE = 2;
const RUNNABLE = 3;
const LEFT = 4;
const WORKER_WORDS = 5;
/** State of a lane that does nothing. */
export const NO_STATE = -1;
/** Words of a span: stage, track, begin, duration. */
const SPAN_WORDS = 4;

// The clock of the whole process: a thread's own `performance.now()` counts from the thread's start.
const origin = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds on a monotonic clock that all threads share. */
export const clock = (): number => origin + performance.now();

export interface MeterShape {
  readonly workers: number;
  readonly lanes: number;
  readonly slots: number;
  /** Names of the recipe's views. */
  readonly views: readonly string[];
  /** Spans to keep of each thread for a trace; 0 keeps none. */
  readonly spans: number;
}

/** Counts since the pipeline was made. */
export interface StageTotals {
  readonly count: number;
  readonly ms: number;
  readonly bytes: number;
  readonly failures: number;
  /** Visits that did not have to wait. */
  readonly ready: number;
  /** Visits by duration: `BUCKETS` logarithmic buckets. */
  readonly histogram: readonly number[];
}

/** One timed visit of a stage. */
export interface Span {
  /** Ordinal of the worker; the number of workers for the consumer. */
  readonly thread: number;
  /** Ordinal of the stage; views come after `STAGES`. */
  readonly stage: number;
  /** `4 * lane + task` (see `TASK`); -1 for what occupies the thread itself. */
  readonly track: number;
  /** On `clock`. */
  readonly startMs: number;
  readonly durationMs: number;
}

/** The block of one thread, and the times that all of them share. */
export class ThreadMeters {
  readonly #words: Float64Array;
  readonly #at: Layout;
  readonly #spans: number;

  constructor(words: Float64Array, shape: MeterShape) {
    this.#words = words;
    this.#at = layout(shape);
    this.#spans = shape.spans;
  }

  #bump(word: number, by: number): void {
    this.#words[word] = (this.#words[word] as number) + by;
  }

  /** Counts a visit of `ms`. */
  add(stage: number, ms: number): void {
    const at = stage * STAGE_WORDS;
    this.#bump(at + COUNT, 1);
    this.#bump(at + MS, ms);
    this.#bump(at + HISTOGRAM + bucketOf(ms), 1);
  }

  addBytes(stage: number, bytes: number): void {
    this.#bump(stage * STAGE_WORDS + BYTES, bytes);
  }

  addFailure(stage: number): void {
    this.#bump(stage * STAGE_WORDS + FAILURES, 1);
  }

  addReady(stage: number): void {
    this.#bump(stage * STAGE_WORDS + READY, 1);
  }

  addLaneState(state: number, ms: number): void {
    this.#bump(this.#at.lanes + state, ms);
  }

  moveQueue(queue: number, items: number): void {
    this.#bump(this.#at.queues + queue, items);
  }

  /** Counts images that the consumer got. */
  addImages(images: number): void {
    this.#bump(this.#at.images, images);
  }

  /** Counts reads of remote shards by whether the cache folder had them. */
  addCacheRead(hit: boolean): void {
    this.#bump(this.#at.cache + (hit ? 0 : 1), 1);
  }

  /** Notes how many images the decoder's threads had not begun with when another one came. */
  addDecoderQueue(images: number): void {
    this.#bump(this.#at.decoder, images);
  }

  /** Counts images that the thread itself decoded, or had no need to, and the time that it took. */
  addDecoded(images: number, ms: number): void {
    this.#bump(this.#at.worker + DECODED, images);
    this.#bump(this.#at.worker + DECODING, ms);
  }

  /** Counts an image that stays compressed. */
  addLeft(): void {
    this.#bump(this.#at.worker + LEFT, 1);
  }

  /** Notes what the scheduler says of the thread. */
  noteTimes({ cpuMs, runnableMs }: ThreadTimes): void {
    this.#words[this.#at.worker + ON_CORE] = cpuMs;
    this.#words[this.#at.worker + RUNNABLE] = runnableMs;
  }

  /** Keeps a span for the trace, over the oldest one if there is no room. */
  addSpan(stage: number, track: number, startMs: number, durationMs: number): void {
    const spans = this.#spans;
    if (spans === 0) return;
    const at = this.#at.spans;
    const kept = this.#words[at] as number;
    this.#words.set([stage, track, startMs, durationMs], at + 1 + (kept % spans) * SPAN_WORDS);
    this.#words[at] = kept + 1;
  }
}

/** The whole of the shared memory: any thread can read it. */
export class Meters {
  readonly buffer: SharedArrayBuffer;
  readonly #shape: MeterShape;
  readonly #at: Layout;

  constructor(shape: MeterShape, buffer?: SharedArrayBuffer) {
    this.#shape = shape;
    this.#at = layout(shape);
    this.buffer = buffer ?? new SharedArrayBuffer(8 * ((shape.workers + 1) * this.#at.words + shape.slots + 2 * shape.lanes));
  }

  /** The block of a worker, or with `thread` = workers that of the consumer. */
  thread(thread: number): ThreadMeters {
    return new ThreadMeters(this.#block(thread), this.#shape);
  }

  /** What a lane is in and since when, for whoever looks before it leaves: [state, ms], written by its worker alone. */
  laneNow(lane: number): Float64Array {
    const { workers, slots } = this.#shape;
    return new Float64Array(this.buffer, 8 * ((workers + 1) * this.#at.words + slots + 2 * lane), 2);
  }

  /** Notes when the batch in `slot` became full. */
  fullAt(slot: number, ms: number): void {
    this.#slotTimes()[slot] = ms;
  }

  whenFull(slot: number): number {
    return this.#slotTimes()[slot] ?? 0;
  }

  /** Sums over all threads. */
  stages(): Record<string, StageTotals> {
    const names = [...STAGES, ...this.#shape.views.map((view) => viewStage(view))];
    const sums = this.#sum(0, names.length * STAGE_WORDS);
    return Object.fromEntries(
      names.map((name, stage) => {
        const [count = 0, ms = 0, bytes = 0, failures = 0, ready = 0, ...histogram] = sums.subarray(
          stage * STAGE_WORDS,
          (stage + 1) * STAGE_WORDS,
        );
        return [name, { count, ms, bytes, failures, ready, histogram }];
      }),
    );
  }

  /** Milliseconds in each state until `now`. */
  laneStates(now: number): Float64Array {
    const sums = this.#sum(this.#at.lanes, LANE_STATES.length);
    for (let lane = 0; lane < this.#shape.lanes; lane++) {
      const [state = NO_STATE, since = 0] = this.laneNow(lane);
      if (since > 0 && state !== NO_STATE) sums[state] = (sums[state] as number) + Math.max(0, now - since);
    }
    return sums;
  }

  queues(): Float64Array {
    return this.#sum(this.#at.queues, QUEUES.length);
  }

  decoderQueue(): number {
    return this.#sum(this.#at.decoder, 1)[0] ?? 0;
  }

  cacheReads(): { hits: number; misses: number } {
    const [hits = 0, misses = 0] = this.#sum(this.#at.cache, 2);
    return { hits, misses };
  }

  /** Of all workers; times on a core are 0 where the system does not tell. */
  workers(): ThreadTimes & { readonly decoded: number; readonly decodingMs: number; readonly left: number } {
    const [decoded = 0, decodingMs = 0, cpuMs = 0, runnableMs = 0, left = 0] = this.#sum(this.#at.worker, WORKER_WORDS);
    return { decoded, decodingMs, cpuMs, runnableMs, left };
  }

  images(): number {
    return this.#sum(this.#at.images, 1)[0] ?? 0;
  }

  /** The spans that were kept, of each thread in the order they ended. */
  spans(): Span[] {
    const { workers, spans } = this.#shape;
    const at = this.#at.spans;
    return Array.from({ length: workers + 1 }, (_, thread) => {
      const words = this.#block(thread);
      const written = words[at] ?? 0;
      return Array.from({ length: Math.min(written, spans) }, (_, n) => {
        const place = at + 1 + ((Math.max(written - spans, 0) + n) % spans) * SPAN_WORDS;
        const [stage = 0, track = 0, startMs = 0, durationMs = 0] = words.subarray(place, place + SPAN_WORDS);
        return { thread, stage, track, startMs, durationMs };
      });
    }).flat();
  }

  #block(thread: number): Float64Array {
    const { words } = this.#at;
    return new Float64Array(this.buffer, 8 * thread * words, words);
  }

  #slotTimes(): Float64Array {
    return new Float64Array(this.buffer, 8 * (this.#shape.workers + 1) * this.#at.words, this.#shape.slots);
  }

  #sum(from: number, length: number): Float64Array {
    const sums = new Float64Array(length);
    for (let thread = 0; thread <= this.#shape.workers; thread++) {
      const words = this.#block(thread).subarray(from, from + length);
      for (let i = 0; i < length; i++) sums[i] = (sums[i] as number) + (words[i] as number);
    }
    return sums;
  }
}

type Layout = ReturnType<typeof layout>;

/** Where the parts of a block begin, words. */
function layout({ views, spans }: MeterShape) {
  const lanes = (STAGES.length + views.length) * STAGE_WORDS;
  const queues = lanes + LANE_STATES.length;
  const decoder = queues + QUEUES.length;
  const images = decoder + 1;
  const cache = images + 1;
  const worker = cache + 2;
  const kept = worker + WORKER_WORDS;
  return { lanes, queues, decoder, images, cache, worker, spans: kept, words: kept + (spans > 0 ? 1 + spans * SPAN_WORDS : 0) };
}
