/**
 * The options of a run, flat as `config.json` has them: the trainer's own, among those that pipeline, engine and evaluation own.
 * `config-schema.ts` adds those of method, optimizer and recipe. Nothing here loads a tensor library: the help of `detco train` reads the
 * flags of these options.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { oneOf } from '../common/one-of.js';
import { optionFlags } from '../common/option-flags.js';
import { engineShape } from '../engine/options.js';
import { evaluationsSchema, knnSchema } from '../eval/options.js';
import { batchingShape, MOST_SAMPLES, readingShape } from '../pipeline/run-options.js';
import { logSchema } from './log/options.js';
import { LR_SCALINGS, MOST_EPOCHS, scheduleSchema } from './schedule.js';

/** Absolute, so that a resume from another place means the same. */
const absolutePath = z
  .string()
  .min(1)
  .transform((path) => resolve(path));
/** Of updates, checkpoints and the like; beyond it a number is a slip of the keyboard. */
const MOST_COUNTED = 1_000_000_000;
const counted = z.int().min(1).max(MOST_COUNTED);
const shardSpecs = z.array(z.string().min(1)).min(1);

/** Up to the method, in the order of the help and of `config.json`. */
export const trainingShape = {
  /** Paths, brace ranges, globs, URLs. */
  shards: shardSpecs.register(optionFlags, {
    flag: '--shards <spec...>',
    help: 'training shards: paths, brace ranges {000000..000009}, globs, http(s):// or s3:// URLs',
  }),
  /** Labelled shards that kNN and the linear probe classify at each evaluation. */
  valShards: shardSpecs
    .optional()
    .register(optionFlags, { flag: '--val-shards <spec...>', help: 'labelled shards that kNN and the linear probe classify' }),
  ...readingShape,
  /** Names of the classes, where labels are such. */
  classesFile: absolutePath.optional(),
  preset: z.string().register(optionFlags, {
    flag: '--preset <name>',
    help: 'a method and how it trains, such as detco-r50, moco-v2-r50, simclr-r50 or tiny; docs/methods.md has them all (default detco-r50)',
  }),
  /** Weights that the backbone starts from: whatever `loadBackbone` takes. */
  init: absolutePath.optional().register(optionFlags, {
    flag: '--init <weights>',
    help: 'start the backbone from weights of the same architecture: a run, a folder of detco import, or a file (heads start at random)',
    example: 'weights/moco-v2',
  }),
  ...engineShape,
  /** Images an update. */
  batch: z.int().min(1).max(MOST_SAMPLES).register(optionFlags, { flag: '--batch <n>', help: 'images an update', example: '256' }),
  /**
   * Which images of a batch are normalised together: runs of them, or every n-th for n groups, as several ranks have them. A run with
   * these has the losses of any number of ranks that divides the groups.
   */
  groupRows: oneOf(['contiguous', 'interleaved']).optional().register(optionFlags, {
    flag: '--group-rows <how>',
    help: 'images of a batch norm group: contiguous, or interleaved as those of ranks are (default: contiguous; with ranks interleaved)',
  }),
  /** Epochs of the whole run; the learning rate is a function of them. */
  epochs: z.int().min(1).max(MOST_EPOCHS).register(optionFlags, {
    flag: '--epochs <n>',
    help: 'epochs of the run; the learning rate follows them',
    example: '200',
  }),
  /** Updates after which the run ends, if that is before `epochs`. Does not move the learning rate. */
  steps: counted.optional().register(optionFlags, {
    flag: '--steps <n>',
    help: 'end after so many updates, if that is sooner',
    example: '1000',
  }),
  ...batchingShape,
  /**
   * Learning rate at batch 256. At most what float32 holds: one that is merely too high ends with the step at which the loss was no number.
   */
  lr: z.number().positive().max(1e38).register(optionFlags, {
    flag: '--lr <rate>',
    help: 'learning rate at batch 256; scaled by batch/256, or as lrScaling of the preset says',
    example: '0.03',
  }),
  /** How it goes with the batch: by batch/256, or by the square root of that. */
  lrScaling: oneOf(LR_SCALINGS).default('linear'),
  schedule: scheduleSchema,
  /** Updates of linear warm-up. */
  warmupSteps: z.int().min(0).max(MOST_COUNTED).default(0),
  /** Epochs over which the rate rises in steps of an epoch, whatever the batch. */
  warmupEpochs: z.int().min(0).max(MOST_EPOCHS).default(0),
};

/** After the method: what a run leaves, and how often. */
export const leavingShape = {
  /** Updates between checkpoints, besides the one at the end of each epoch. */
  checkpointEvery: counted.optional().register(optionFlags, {
    flag: '--checkpoint-every <steps>',
    help: 'checkpoints besides the one at the end of each epoch',
    example: '1000',
  }),
  /** Newest checkpoints that are kept. */
  keepCheckpoints: counted.default(2),
  /** Epochs between evaluations, besides those before the first and after the last update. */
  evalEvery: counted.default(1).register(optionFlags, {
    flag: '--eval-every <epochs>',
    help: 'epochs between evaluations',
    example: '5',
  }),
  /** What is evaluated then. */
  evaluate: evaluationsSchema.default(['knn']).register(optionFlags, {
    flag: '--eval <names>',
    help: 'knn (accuracy on --val-shards), rank (effective rank of features, needs no labels), linear (a probe that learns along, needs labels in the shards), or several: knn,rank,linear (default knn)',
  }),
  /** What takes the lines of metrics besides `metrics.jsonl`. */
  log: logSchema.default([]).register(optionFlags, {
    flag: '--log <names>',
    help: 'tensorboard: what metrics.jsonl has also as event files, in RUN/tensorboard; none (default none)',
  }),
  knn: knnSchema.prefault({}),
};
