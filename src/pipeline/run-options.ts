/**
 * The options of a pipeline that a run passes on: plain data, which a config file or a flag may hold. `options.ts` has the others,
 * and lets a program write some of these in other ways too.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseByteSize } from '../common/byte-size.js';
import { oneOf } from '../common/one-of.js';
import { optionFlags } from '../common/option-flags.js';
import { quoted } from '../common/quoted.js';
import { PIPELINE_DEFAULTS } from './defaults.js';
import { PipelineOptionError } from './option-error.js';
import { CHECK_SHARDS } from './shard/same-shards.js';
import { reasonOf } from './source/source.js';
import { DECODERS } from './worker/decoders.js';
import { MOST_PIXELS } from './worker/image-header.js';

/** Of a batch or a buffer: products with the bytes of a sample stay exact. */
export const MOST_SAMPLES = 1_000_000;
export const batchSize = z.int().min(1).max(MOST_SAMPLES);
export const MOST_LANES = 1024;
/** Of a count of bad samples: more than any epoch has. */
const MOST_BAD_SAMPLES = 1_000_000_000;

const text = z.string().min(1);
/** Absolute, so that a resume from another place means the same. */
const folder = text.transform((path) => resolve(path));
/** Bytes, or text such as `200GB`; what `none` takes stands for no bytes at all. */
const byteSize = (none?: RegExp) =>
  z.union([z.string(), z.number()]).superRefine((value, { addIssue }) => {
    if (none?.test(String(value))) return;
    try {
      parseByteSize(value);
    } catch (error) {
      addIssue({ code: 'custom', message: reasonOf(error) });
    }
  });
export const NO_BYTES = /^\s*0+\s*$/;

/** Which samples are read, from where, and what they may take. */
export const readingShape = {
  /** Shards that are not read, by their names; braces too. */
  skipShards: z.array(text).min(1).optional().register(optionFlags, {
    flag: '--skip-shards <name...>',
    help: 'training shards to leave out, such as train-000123.tar: the others keep their order',
  }),
  /** Folder of shard indexes, which a resume uses to read only what it needs; a run has one of its own by default. */
  indexDir: folder.optional().register(optionFlags, {
    flag: '--index <folder>',
    help:
      'indexes of the shards, by which a resume reads only what it needs (default: index in the run); runs may share it. A run of fewer shards ' +
      'than lanes, which are 16, leaves none: npx detco index --out RUN/index makes them',
    example: 'shards/index',
  }),
  /** What is asked of each shard at the start, and compared at a resume: its time or ETag, its size only, or nothing. */
  checkShards: oneOf(CHECK_SHARDS).default(PIPELINE_DEFAULTS.checkShards).register(optionFlags, {
    flag: '--check-shards <what>',
    help: 'what is asked of each shard at the start and compared at a resume: versions (times, ETags), sizes, or none (default versions)',
  }),
  /** Folder that keeps remote shards once they are read, and what it may hold. */
  cacheDir: folder.optional().register(optionFlags, {
    flag: '--cache-dir <folder>',
    help: 'keep remote shards here once they are read; runs may share it',
    example: 'cache',
  }),
  cacheSize: byteSize().optional().register(optionFlags, {
    flag: '--cache-size <size>',
    help: 'what the folder may hold: 200G (powers of 1024), 200GB (of 1000) (default: nine tenths of what its disk has for it)',
  }),
  /** What decoded images may take of memory, kept for the next epochs. For small images. */
  decodedCache: byteSize(NO_BYTES).optional().register(optionFlags, {
    flag: '--decoded-cache <size>',
    help: 'keep decoded images in memory, up to 200MB for example: for data sets of small images (default: 0, none; tiny presets: 100MB)',
  }),
  /** What decodes baseline JPEGs; the pixels are the same. */
  decoder: oneOf(DECODERS).optional().register(optionFlags, {
    flag: '--decoder <name>',
    help: 'of baseline JPEGs: wasm, in the workers themselves, or sharp; the pixels are the same (default wasm)',
  }),
  /** Whether large JPEGs are decoded smaller where no view needs more. A run that does not say does not, and leaves it out of its config. */
  draft: z.boolean('expected true or false').optional().register(optionFlags, {
    flag: '--draft',
    help: 'decode JPEGs at 1/2 or 1/4 where every crop has so many times the pixels of its view: faster for large originals, other pixels',
  }),
  /** Pixels above which an image is a bad sample. A run that does not say leaves it to the pipeline, and out of its config. */
  maxPixels: z.int().min(1).max(MOST_PIXELS).optional().register(optionFlags, {
    flag: '--max-pixels <n>',
    help: 'leave larger images out, as bad samples (default 67108864)',
    example: '67108864',
  }),
  /** What images may take of memory while they are decoded and wait for their place. */
  decodeMemory: byteSize().optional().register(optionFlags, {
    flag: '--decode-memory <size>',
    help: 'what images may take while they are decoded and wait for their place (default: an eighth of the memory)',
  }),
  /** What follows the key of a sample in the names of its image and its label. */
  imageField: text.optional(),
  labelField: text.optional(),
  onBadSample: oneOf(['skip', 'fail']).default(PIPELINE_DEFAULTS.onBadSample),
  /** Bad samples to bear: a count, or below 1 a share. */
  maxBadSamples: z.number().min(0).max(MOST_BAD_SAMPLES).default(PIPELINE_DEFAULTS.maxBadSamples),
};

/** How samples become batches: by whom, and in which order. */
export const batchingShape = {
  /** Worker threads; by default the machine's cores. */
  workers: z.int().min(1).max(MOST_LANES).optional().register(optionFlags, {
    flag: '--workers <n>',
    help: 'worker threads of the pipeline (default: the cores)',
    example: '8',
  }),
  /** Who does colour, blur and RandAugment's point operations. */
  augment: oneOf(['worker', 'device']).default(PIPELINE_DEFAULTS.augment).register(optionFlags, {
    flag: '--augment <where>',
    help: 'worker, or device: all operations but crops and flips on the engine, for few cores and a large GPU',
  }),
  /** Who decodes JPEGs. A run that does not say leaves it to the workers, and out of its config. */
  decode: oneOf(['worker', 'device']).optional().register(optionFlags, {
    flag: '--decode <where>',
    help: 'of JPEGs: worker, or device with --augment device: by the decoders of an NVIDIA GPU, crops too (default worker)',
  }),
  seed: z.int().min(0).max(0xffff_ffff).default(PIPELINE_DEFAULTS.seed).register(optionFlags, {
    flag: '--seed <n>',
    help: 'of order, views, weights and permutations (default 0)',
    example: '1',
  }),
  /** Virtual streams that the order of samples is made from. */
  lanes: z.int().min(1).max(MOST_LANES).default(PIPELINE_DEFAULTS.lanes),
  /** Whether lanes take whole shards or equal runs of samples, as several ranks have to; a run that does can go on with more of them. */
  divide: oneOf(['shards', 'samples']).optional().register(optionFlags, {
    flag: '--divide <by>',
    help: 'shards, or samples, which several ranks share and other numbers of them go on with (default: shards; with ranks samples)',
  }),
  /** Compressed samples in each lane's shuffle buffer. */
  shuffle: z.int().min(0).max(MOST_SAMPLES).default(PIPELINE_DEFAULTS.shuffle),
};

export const RUN_OPTIONS = Object.keys({ ...readingShape, ...batchingShape }) as (keyof typeof readingShape | keyof typeof batchingShape)[];

interface RunOptions {
  readonly augment?: string | undefined;
  readonly decode?: string | undefined;
  readonly draft?: boolean | undefined;
  readonly decoder?: string | undefined;
  readonly cacheDir?: string | undefined;
  readonly cacheSize?: string | number | undefined;
  readonly lanes: number;
  readonly workers?: number | undefined;
}

/** Rules between options, for one of so many ranks. @throws PipelineOptionError */
export function checkRunOptions(options: RunOptions, ranks = 1): void {
  const { draft, decode, augment, decoder, cacheDir, cacheSize, lanes, workers = 1 } = options;
  if (decode === 'device' && augment !== 'device')
    throw new PipelineOptionError(
      'decode',
      `device with augment ${augment}, but a worker has no pixels of what it does not decode; use augment device (--augment device)`,
    );
  if (decode === 'device' && draft)
    throw new PipelineOptionError('draft', 'true with decode device, which decodes whole images; leave one of the two out');
  if (draft && decoder === 'sharp')
    throw new PipelineOptionError('draft', 'true with decoder sharp, which does not decode at 1/2 or 1/4; leave one of the two out');
  if (cacheSize !== undefined && cacheDir === undefined)
    throw new PipelineOptionError('cacheSize', `${quoted(cacheSize)} without cacheDir; name the folder`);
  const most = lanes / ranks;
  if (workers <= most) return;
  const ofRank = ranks > 1 ? ` of this rank (${lanes} over ${ranks} ranks)` : '';
  throw new PipelineOptionError(
    'workers',
    `${workers} workers for ${most} lanes${ofRank} would leave some idle; use at most ${most}, or more lanes`,
  );
}
