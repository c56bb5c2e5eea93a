/** Hand-made measurements: a second of a pipeline with two workers on two cores, of which a test changes what matters. */
import type { Measured } from '#dist/pipeline/profile/index.js';
import type { PipelineSetup, StageTotals, Totals } from '#dist/pipeline/index.js';
import { BUCKETS, bucketOf } from '#dist/pipeline/profile/histogram.js';
import { STAGES } from '#dist/pipeline/profile/stages.js';

/** `count` visits of `ms` each. */
export function visits(count: number, ms: number, rest: Partial<StageTotals> = {}): StageTotals {
  const histogram = Array.from({ length: BUCKETS }, () => 0);
  histogram[bucketOf(ms)] = count;
  return { count, ms: count * ms, bytes: 0, failures: 0, ready: 0, histogram, ...rest };
}

export const setup: PipelineSetup = {
  workers: 2,
  lanes: 16,
  slots: 3,
  batchSize: 32,
  batchBytes: 32 * 523_000,
  shuffle: 1024,
  shards: 64,
  medium: 'disk',
  views: ['globalQ', 'globalK'],
  augment: 'worker',
  cores: 2,
  uvThreads: 4,
};

/** Everything idle, and nothing done. */
export const nothing: Totals = {
  ms: 1000,
  images: 320,
  stages: Object.fromEntries([...STAGES, 'augment.globalQ', 'augment.globalK'].map((name) => [name, visits(0, 0)])),
  laneMs: { source: 0, tar: 0, decode: 0, loop: 0, turn: 0, slot: 0, augment: 0 },
  decoderQueue: 0,
  cache: { hits: 0, misses: 0 },
  loops: [
    { activeMs: 0, idleMs: 1000 },
    { activeMs: 0, idleMs: 1000 },
  ],
  workers: { decoded: 0, decodingMs: 0, cpuMs: 0, runnableMs: 0, left: 0 },
  consumerLoop: { activeMs: 50, idleMs: 950 },
  cpuMs: 0,
  machine: { ms: 2000, idleMs: 1000 },
};

/** Ten steps of 32 images, of which `waitShare` is waiting. */
export function measured(
  waitShare: number,
  { stages = {}, ...totals }: Partial<Totals> = {},
  rest: Partial<Omit<Measured, 'totals'>> = {},
): Measured {
  const waitMs = 100 * waitShare;
  return {
    setup,
    totals: { ...nothing, ...totals, stages: { ...nothing.stages, wait: visits(10, waitMs), step: visits(10, 100 - waitMs), ...stages } },
    cache: { hits: 0, misses: 0 },
    steps: Array.from({ length: 10 }, (_, step) => ({ ms: 100 * step, steps: 1, images: 32, waitMs, stepMs: 100 - waitMs })),
    samples: [{ ms: 0, queues: { compressed: 900, decoding: 2, decoded: 20, full: 2 }, rssBytes: 5e8 }],
    drained: false,
    ...rest,
  };
}
