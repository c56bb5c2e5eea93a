/** What the meters say at one time, as plain data, and the difference of two of them. */
import { readFileSync } from 'node:fs';
import type { Meters, StageTotals } from './meters.js';
import { LANE_STATES, type LaneState, QUEUES, type QueueName } from './stages.js';

/** Time an event loop was busy and time it had nothing to do, milliseconds. */
export interface LoopTotals {
  readonly activeMs: number;
  readonly idleMs: number;
}

/** Everything that only grows; the difference of two is what happened between them. */
export interface Totals {
  /** Milliseconds on a monotonic clock. */
  readonly ms: number;
  /** Images that the consumer got. */
  readonly images: number;
  readonly stages: Readonly<Record<string, StageTotals>>;
  /** What the lanes were held up by, milliseconds summed over lanes. */
  readonly laneMs: Readonly<Record<LaneState, number>>;
  /** Images that the decoder's threads had not begun with, summed over the arrivals of new ones. */
  readonly decoderQueue: number;
  /** Remote shards read from the cache folder, and those that were not. */
  readonly cache: { readonly hits: number; readonly misses: number };
  /** The event loops of the workers. */
  readonly loops: readonly LoopTotals[];
  /**
   * The workers' threads, summed: images that they decoded themselves or had kept decoded, and time in which they did, were on a core, and could have run and
   * had no core; and images that stayed compressed, which count as decoded. Times on a core are a quarter of a second late, and 0 where the system does not tell (it does on Linux).
   */
  readonly workers: {
    readonly decoded: number;
    readonly decodingMs: number;
    readonly cpuMs: number;
    readonly runnableMs: number;
    readonly left: number;
  };
  /** The event loop of the consumer's thread. */
  readonly consumerLoop: LoopTotals;
  /** CPU time of the process, all threads. */
  readonly cpuMs: number;
  /** CPU time of the whole machine, where the system tells (Linux), and how much of it nobody used. */
  readonly machine: { readonly ms: number; readonly idleMs: number };
}

/** What a pipeline was made with, after defaults. */
export interface PipelineSetup {
  readonly workers: number;
  readonly lanes: number;
  readonly slots: number;
  readonly batchSize: number;
  /** Bytes of a batch. */
  readonly batchBytes: number;
  /** Compressed samples that fit the shuffle buffers of all lanes. */
  readonly shuffle: number;
  readonly shards: number;
  /** What the shards are read over. */
  readonly medium: 'network' | 'disk';
  readonly views: readonly string[];
  /** Who does all operations but crops and flips. */
  readonly augment: 'worker' | 'device';
  /** Cores that this process may use. */
  readonly cores: number;
  /** Threads that decode. */
  readonly uvThreads: number;
}

/** What `pipeline.meters()` returns. */
export interface PipelineMeters {
  readonly setup: PipelineSetup;
  readonly totals: Totals;
  /** Items between the stages at this instant, over all lanes; `full` counts batches. */
  readonly queues: Readonly<Record<QueueName | 'full', number>>;
  /** Memory of the process, bytes. */
  readonly rssBytes: number;
}

export interface MeterSources {
  readonly meters: Meters;
  readonly setup: PipelineSetup;
  /** Event loops of the workers. */
  readonly loops: readonly LoopTotals[];
  readonly full: number;
  readonly ms: number;
}

export function readMeters({ meters, setup, loops, full, ms }: MeterSources): PipelineMeters {
  const lanes = meters.laneStates(ms);
  const queues = meters.queues();
  const { user, system } = process.cpuUsage();
  const { active, idle } = performance.eventLoopUtilization();
  return {
    setup,
    totals: {
      ms,
      images: meters.images(),
      stages: meters.stages(),
      laneMs: Object.fromEntries(LANE_STATES.map((state, index) => [state, lanes[index] ?? 0])) as Record<LaneState, number>,
      decoderQueue: meters.decoderQueue(),
      cache: meters.cacheReads(),
      loops,
      workers: meters.workers(),
      consumerLoop: { activeMs: active, idleMs: idle },
      cpuMs: (user + system) / 1000,
      machine: machineTimes(),
    },
    queues: { ...(Object.fromEntries(QUEUES.map((queue, index) => [queue, queues[index] ?? 0])) as Record<QueueName, number>), full },
    rssBytes: process.memoryUsage.rss(),
  };
}

/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

function machineTimes(): Totals['machine'] {
  try {
    const [, ...ticks] = (readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '').split(/\s+/).map(Number);
    // user nice system idle iowait irq softirq steal; guests are counted in the first two.
    const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = ticks;
    return { ms: TICK_MS * (user + nice + system + idle + iowait + irq + softirq + steal), idleMs: TICK_MS * (idle + iowait) };
  } catch {
    return { ms: 0, idleMs: 0 };
  }
}

/** `after` - `before`, number by number. */
export function elapsed(before: Totals, after: Totals): Totals {
  return combine(after, before, -1) as Totals;
}

export function sum(a: Totals, b: Totals): Totals {
  return combine(a, b, 1) as Totals;
}

function combine(a: unknown, b: unknown, sign: number): unknown {
  if (typeof a === 'number') return a + sign * (typeof b === 'number' ? b : 0);
  if (Array.isArray(a)) return a.map((item, index) => combine(item, Array.isArray(b) ? b[index] : undefined, sign));
  const other = new Map(Object.entries(b ?? {}));
  return Object.fromEntries(Object.entries(a as object).map(([name, value]) => [name, combine(value, other.get(name), sign)]));
}
