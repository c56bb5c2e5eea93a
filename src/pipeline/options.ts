/** What a pipeline can be told, checked once. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { Recipe } from './augment/recipe.js';
import type { PipelineState } from './batch/batch.js';
import type { BadSample } from './worker/lane.js';

export interface PipelineOptions {
  /** Paths, brace ranges, globs, `@list` files, `http(s)://` URLs, `s3://bucket/key` or `s3://bucket/prefix/`. */
  readonly shards: string | readonly string[];
  /** Which views to make; see `recipes`. */
  readonly recipe: Recipe;
  /** Samples a batch. */
  readonly batchSize: number;
  /** Seed of order and pixels. Default 0. */
  readonly seed?: number;
  /** Epochs to run; `resume` counts from the first. Default 1. */
  readonly epochs?: number;
  /** Worker threads. Default: the cores of the machine, at most `lanes`. Changes speed, never the result. */
  readonly workers?: number;
  /** Virtual streams the order is made from; at least the workers. Part of the plan: changing it changes the order. Default 16. */
  readonly lanes?: number;
  /** Compressed samples in each lane's shuffle buffer; 0 or false reads in order. Default 64. */
  readonly shuffle?: number | boolean;
  /** Batches in shared memory: one being consumed, the others being filled. Default 3. */
  readonly slots?: number;
  /** Whether the samples that do not fill a last batch of the epoch are left out. Default true. */
  readonly dropLast?: boolean;
  /** What to do with a sample that cannot be decoded. Default 'skip'. */
  readonly onBadSample?: 'skip' | 'fail';
  /** Bad samples to bear: a count, or below 1 a share of the samples read (judged over at least 1000). Default 0.01. */
  readonly maxBadSamples?: number;
  /** Called for each bad sample that is skipped. */
  readonly onBad?: (bad: BadSample) => void;
  /** Timed visits of the stages to keep of each thread, for a trace. Default 0. */
  readonly spans?: number;
  /** Continues after the batch that had this state. */
  readonly resume?: PipelineState;
  /** Ends the iteration and frees everything when aborted. */
  readonly signal?: AbortSignal;
}

export type ResolvedOptions = ReturnType<typeof resolveOptions>;

/** What holds unless told otherwise. */
export const PIPELINE_DEFAULTS = Object.freeze({
  seed: 0,
  epochs: 1,
  lanes: 16,
  shuffle: 64,
  slots: 3,
  dropLast: true,
  onBadSample: 'skip',
  maxBadSamples: 0.01,
  spans: 0,
} as const);

const count = z.int().positive();
const schema = z.object({
  batchSize: count,
  seed: z.int().nonnegative().max(0xffffffff).default(PIPELINE_DEFAULTS.seed),
  epochs: count.max(0x7fffffff).default(PIPELINE_DEFAULTS.epochs),
  lanes: count.max(1024).default(PIPELINE_DEFAULTS.lanes),
  workers: count.optional(),
  shuffle: z
    .union([z.boolean(), z.int().nonnegative()])
    .default(true)
    .transform((value) => (typeof value === 'number' ? value : value ? PIPELINE_DEFAULTS.shuffle : 0)),
  slots: count.min(2).default(PIPELINE_DEFAULTS.slots),
  dropLast: z.boolean().default(PIPELINE_DEFAULTS.dropLast),
  onBadSample: z.enum(['skip', 'fail']).default(PIPELINE_DEFAULTS.onBadSample),
  maxBadSamples: z.number().nonnegative().default(PIPELINE_DEFAULTS.maxBadSamples),
  spans: z
    .int()
    .nonnegative()
    .max(1 << 20)
    .default(PIPELINE_DEFAULTS.spans),
});

/** @throws RangeError naming the option, the value it got and what it wants */
export function resolveOptions(options: PipelineOptions) {
  const { success, data, error } = schema.safeParse(options);
  if (!success) {
    const [issue] = error.issues;
    const name = String(issue?.path[0]);
    throw new RangeError(`Pipeline option ${name}: ${issue?.message ?? 'invalid'}, got ${JSON.stringify(Reflect.get(options, name))}`);
  }
  const workers = data.workers ?? Math.min(availableParallelism(), data.lanes);
  if (workers > data.lanes) {
    throw new RangeError(
      `Pipeline option workers: ${workers} workers for ${data.lanes} lanes would leave some idle; use at most ${data.lanes}, or more lanes`,
    );
  }
  return { ...data, workers };
}
