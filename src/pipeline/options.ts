/** What a pipeline can be told, checked once. */
import { z } from 'zod';
import type { AugmentBy } from './augment/defer.js';
import type { Recipe, Views } from './augment/recipe.js';
import type { PipelineState } from './batch/batch.js';
import { usableCores } from './machine.js';
import { expectedOneOf } from '../common/nearest.js';
import { oneOf } from '../common/one-of.js';
import { PIPELINE_DEFAULTS } from './defaults.js';
import { PipelineOptionError } from './option-error.js';
import type { Divide } from './plan/state.js';
import { quoted } from '../common/quoted.js';
import type { ShardLeftOut } from './shard/left-out.js';
import { batchingShape, batchSize, checkRunOptions, MOST_LANES, MOST_SAMPLES, NO_BYTES, readingShape } from './run-options.js';
import type { CheckShards, RewrittenShards } from './shard/same-shards.js';
import { withoutSecrets } from './source/identity.js';
import { type CacheEvent, formatByteSize, type FoundShard, parseByteSize, type RetryEvent } from './source/index.js';
import { reasonOf } from './source/source.js';
import type { Decoder } from './worker/decoders.js';
import { defaultDecodeMemory } from './worker/decode-room.js';
import { MOST_DECODED_BYTES } from './worker/decoded-cache.js';
import type { BadSample } from './worker/lane.js';

/** Of a recipe that makes the views `Named`. */
export interface PipelineOptions<Named extends Views = Views, By extends AugmentBy = AugmentBy> {
  /** Paths, brace ranges, globs, `@list` files, `http(s)://` URLs, `s3://bucket/key` or `s3://bucket/prefix/`. */
  readonly shards: string | readonly string[];
  /**
   * Shards that are not read, by their names (`train-000123.tar`, braces too): the others keep their order. A state of a pipeline that
   * read them can be resumed: for what its lanes had taken of them in that epoch, as many of their other samples are passed over.
   */
  readonly skipShards?: string | readonly string[];
  /** Folder that relative paths start from. Default: the working directory. */
  readonly cwd?: string;
  /**
   * What is asked of each shard before the first is read, one small request a remote shard, so that one that is missing is named at
   * the start; and what `expect` holds them to. Of 'versions' another time or ETag is an error unless an index shows that the
   * content is the same; of 'sizes' it is not; of 'none' remote shards are not asked. Default 'versions'.
   */
  readonly checkShards?: CheckShards;
  /** Shards of the run that is resumed, as its `found()` gave them: names, sizes and versions must be the same, in whatever place they are. */
  readonly expect?: readonly FoundShard[];
  /** Called before shards of `expect` that were written again are read whole, to compare their content by their indexes. */
  readonly onRewritten?: (rewritten: RewrittenShards) => void;
  /** Called after each answer to `checkShards`. */
  readonly onAnswer?: (progress: { readonly asked: number; readonly total: number }) => void;
  /** Which views to make; see `recipes`. */
  readonly recipe: Recipe<Named>;
  /** Samples a batch. */
  readonly batchSize: number;
  /** Seed of order and pixels. Default 0. */
  readonly seed?: number;
  /** Epochs to run; `resume` counts from the first. Default 1. */
  readonly epochs?: number;
  /** Worker threads. Default: the cores that the process may use, at most `lanes`. Changes speed, never the result. */
  readonly workers?: number;
  /**
   * Megabytes of JavaScript heap a worker may use before the run is ended. Default: what V8 allows on this machine. Images and
   * views lie outside of the heap and are bounded by `lanes`, `shuffle` and `slots`.
   */
  readonly workerMemoryMb?: number;
  /**
   * Virtual streams the order is made from, over all ranks; a multiple of `worldSize`, and for each rank at least the
   * workers. Part of the plan: changing it changes the order. Default 16.
   */
  readonly lanes?: number;
  /** Which of `worldSize` processes this is, from 0. Default 0. */
  readonly rank?: number;
  /** Processes that share an epoch, each with a pipeline of the same options but for `rank`. Default 1. */
  readonly worldSize?: number;
  /**
   * How an epoch is divided among lanes. By 'shards': whole shards, needs nothing, for one rank only. By 'samples':
   * equal runs of samples, so that ranks do equally many steps; needs the index of every shard in `indexDir`.
   * Default 'shards' at worldSize 1, else 'samples'.
   */
  readonly divide?: Divide;
  /** Folder of shard indexes. Shards that are streamed whole leave theirs there, and a resume reads only what it needs. */
  readonly indexDir?: string;
  /**
   * Whether each sample of a batch has its `ordinal` among those of all shards, for a method that keeps something for each image; needs the index of
   * every shard in `indexDir`, of those of `skipShards` too. Default false.
   */
  readonly ordinals?: boolean;
  /** Compressed samples in each lane's shuffle buffer; 0 or false reads in order. Default 64. */
  readonly shuffle?: number | boolean;
  /** Batches in shared memory: one being consumed, the others being filled. Default 3. */
  readonly slots?: number;
  /** Whether the samples that do not fill a last batch of the epoch are left out. Default true. */
  readonly dropLast?: boolean;
  /**
   * Who does colour, blur and RandAugment's point operations. With 'device' they are left to the consumer, listed in each
   * view's `pending`: more images a core, for machines with few cores and a large GPU. Default 'worker'.
   */
  readonly augment?: By;
  /**
   * Who decodes JPEGs. With 'device' those that a GPU's decoders take stay compressed (`Batch.compressed`), and what to cut out of them is left
   * to the consumer; workers decode the others. Needs augment 'device'. Default 'worker'.
   */
  readonly decode?: 'worker' | 'device';
  /**
   * Field of a sample that is its image, such as `input.jpg`; several with `;` between, of which each sample has one. Default: the
   * one that is an image by its last extension; a sample that has two is a bad one.
   */
  readonly imageField?: string;
  /** Field of a sample that is its label. Default `cls`. */
  readonly labelField?: string;
  /**
   * Fields of a sample that come with a batch as bytes, such as `['json']` for `KEY.json`: `batch.samples[i].fields.json`. Default: none.
   */
  readonly fields?: readonly string[];
  /**
   * Bytes that these fields of one sample may have together, as a number or as `64K`; a sample that has more is a bad one. Each sample of
   * each slot has room for so much. Default 65536.
   */
  readonly maxFieldBytes?: string | number;
  /** Names of the classes 0, 1, ...: a label may be one of them. Default: labels are whole numbers, and a sample with another has none. */
  readonly classNames?: readonly string[];
  /**
   * Called once for each shard and each reason for which it has members that are part of no sample: links, labels away from
   * their images, text for a label. Default: one process warning for each reason.
   */
  readonly onLeftOut?: (leftOut: ShardLeftOut) => void;
  /** What to do with a sample that cannot be decoded. Default 'skip'. */
  readonly onBadSample?: 'skip' | 'fail';
  /**
   * Bad samples to bear: a count, or below 1 a share of the samples read (judged over at least 1000). Of several ranks each counts its own
   * bad ones and the good ones of all. Default 0.01.
   */
  readonly maxBadSamples?: number;
  /**
   * What decodes baseline JPEGs: 'wasm', in the worker's own thread, which scales with the cores and leaves to sharp whatever is not sound;
   * or 'sharp', which decodes all else too. Default 'wasm'. Changes speed, never the result.
   */
  readonly decoder?: Decoder;
  /**
   * Whether a baseline JPEG whose every crop has at least two (four) times as many pixels as its view, across and down, is decoded at 1/2
   * (1/4), as PIL's `Image.draft` does. Faster for large originals; part of the data: pixels of views differ by some levels. Needs the
   * decoder 'wasm'. Default false.
   */
  readonly draft?: boolean;
  /**
   * Pixels of an image above which it is a bad sample, by its header: a small file may be a huge image. Default 67108864. Part of the data:
   * another limit may leave other samples out.
   */
  readonly maxPixels?: number;
  /**
   * Bytes that images may take while they are decoded and until they are placed, as a number or as `512MB`; further ones wait. Workers
   * have equal shares. Beyond its share a worker holds only the image whose turn is next, and one worker at a time decodes such a one.
   * Default: an eighth of the memory that the process may use. Changes memory and speed, never the result.
   */
  readonly decodeMemory?: string | number;
  /** Called for each bad sample that is skipped. */
  readonly onBad?: (bad: BadSample) => void;
  /** Timed visits of the stages to keep of each thread, for a trace. Default 0. */
  readonly spans?: number;
  /** Folder in which remote shards are kept once they are read; several processes may share it. Default: none are kept. */
  readonly cacheDir?: string;
  /**
   * Bytes the folder may hold, as a number or as `200G` (powers of 1024) or `200GB` (of 1000); the shards used longest ago make room. Default: nine tenths
   * of what its disk has for it. At least the largest shard.
   */
  readonly cacheSize?: string | number;
  /**
   * Bytes of decoded images to keep in memory, as a number or as `200MB`: for data sets of small images, which are then decoded in the first
   * epoch alone. The images that come first are kept; those that are decoded smaller than they are, are not. Default: 0, none.
   */
  readonly decodedCache?: string | number;
  /** Called for each read of a remote shard when there is a cache folder. */
  readonly onCache?: (event: CacheEvent) => void;
  /** Called for each failed request that will be repeated. */
  readonly onRetry?: (event: RetryEvent) => void;
  /** Continues after the batch that had this state. */
  readonly resume?: PipelineState;
  /** Ends the iteration and frees everything when aborted. */
  readonly signal?: AbortSignal;
}

export type ResolvedOptions = ReturnType<typeof resolveOptions>;

/** A terabyte. */
const MOST_MEGABYTES = 1 << 20;

const count = z.int().min(1);
const ordinal = z.int().nonnegative();
/** A state comes out of a file as often as out of a batch. */
export const pipelineStateSchema = z.object({
  epoch: ordinal,
  step: ordinal,
  epochStart: ordinal,
  lanes: z.array(z.object({ taken: ordinal, good: ordinal })).min(1),
  worldSize: count.optional(),
  batchSize: count.optional(),
  divide: oneOf(['shards', 'samples']).optional(),
});
const callback = <Option extends (...args: never[]) => void>(): z.ZodType<Option> =>
  z.custom<Option>((value) => typeof value === 'function', 'expected a function');

/** Not by `instanceof`: it may be of another realm, or a polyfill's. */
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value;
}

/** One line for each option: a name that has none is refused. */
const shape = {
  shards: z.union(
    [z.string(), z.array(z.string()).readonly()],
    'expected a specification or a list of them, such as "train-{000..146}.tar"',
  ),
  ...readingShape,
  ...batchingShape,
  // By `validateRecipe`.
  recipe: z.custom<Recipe>(() => true),
  batchSize,
  epochs: count.max(0x7fffffff).default(PIPELINE_DEFAULTS.epochs),
  rank: z.int().nonnegative().default(PIPELINE_DEFAULTS.rank),
  worldSize: count.max(MOST_LANES).default(PIPELINE_DEFAULTS.worldSize),
  classNames: z.array(z.string()).readonly().optional(),
  fields: z
    .array(z.string().min(1).toLowerCase())
    .default([])
    .transform((names) => [...new Set(names)]),
  maxFieldBytes: z.union([z.string(), z.number()]).default(PIPELINE_DEFAULTS.maxFieldBytes),
  workerMemoryMb: count.max(MOST_MEGABYTES).optional(),
  shuffle: z
    .union([z.boolean(), batchingShape.shuffle.unwrap()], `expected a boolean or a whole number, 0..${MOST_SAMPLES}`)
    .default(true)
    .transform((value) => (typeof value === 'number' ? value : value ? PIPELINE_DEFAULTS.shuffle : 0)),
  slots: count.min(2).max(1024).default(PIPELINE_DEFAULTS.slots),
  dropLast: z.boolean().default(PIPELINE_DEFAULTS.dropLast),
  ordinals: z.boolean().default(PIPELINE_DEFAULTS.ordinals),
  cwd: z.string().min(1).optional(),
  skipShards: z.union([z.string(), z.array(z.string())]).optional(),
  expect: z.array(z.object({ location: z.string(), bytes: ordinal.optional(), version: z.string().optional() })).optional(),
  decode: batchingShape.decode.default(PIPELINE_DEFAULTS.decode),
  decoder: readingShape.decoder.default(PIPELINE_DEFAULTS.decoder),
  draft: readingShape.draft.default(PIPELINE_DEFAULTS.draft),
  maxPixels: readingShape.maxPixels.default(PIPELINE_DEFAULTS.maxPixels),
  spans: z
    .int()
    .nonnegative()
    .max(1 << 20)
    .default(PIPELINE_DEFAULTS.spans),
  resume: pipelineStateSchema.optional(),
  onAnswer: callback<NonNullable<PipelineOptions['onAnswer']>>().optional(),
  onRewritten: callback<NonNullable<PipelineOptions['onRewritten']>>().optional(),
  onLeftOut: callback<NonNullable<PipelineOptions['onLeftOut']>>().optional(),
  onBad: callback<NonNullable<PipelineOptions['onBad']>>().optional(),
  onCache: callback<NonNullable<PipelineOptions['onCache']>>().optional(),
  onRetry: callback<NonNullable<PipelineOptions['onRetry']>>().optional(),
  signal: z.custom<AbortSignal>(isSignal, 'expected an AbortSignal').optional(),
} satisfies Record<keyof PipelineOptions, z.ZodType>;
const schema = z.object(shape);

/** @throws RangeError naming the option, the value it got and what it wants */
export function resolveOptions(options: PipelineOptions) {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(shape, name)) throw new PipelineOptionError(name, `no such option; ${expectedOneOf(name, Object.keys(shape))}`);
  }
  const { success, data, error } = schema.safeParse(options);
  if (!success) {
    const [issue] = error.issues;
    const path = issue?.path ?? [];
    const value = path.reduce<unknown>((outer, key) => (Object(outer) as Record<PropertyKey, unknown>)[key], options);
    throw new PipelineOptionError(path.join('.'), `${issue?.message ?? 'invalid'}, got ${withoutSecrets(quoted(value))}`);
  }
  const { lanes, rank, worldSize, indexDir } = data;
  if (rank >= worldSize) throw new PipelineOptionError('rank', `${rank} of worldSize ${worldSize}; ranks count from 0 to ${worldSize - 1}`);
  if (lanes % worldSize !== 0) throw new PipelineOptionError('lanes', unevenLanes(lanes, worldSize));
  const divide: Divide = data.divide ?? (worldSize === 1 ? 'shards' : 'samples');
  if (divide === 'shards' && worldSize > 1 && data.dropLast) {
    throw new PipelineOptionError(
      'divide',
      `'shards' with worldSize ${worldSize} would give ranks unequal numbers of steps; use 'samples', which needs indexDir, ` +
        'or dropLast false where each rank may have as many as its shards hold, as in an evaluation',
    );
  }
  const counting =
    divide === 'samples' ? `worldSize ${worldSize} with divide 'samples' needs` : data.ordinals ? 'ordinals need' : undefined;
  if (counting !== undefined && indexDir === undefined) {
    throw new PipelineOptionError(
      'indexDir',
      `none, and ${counting} the index of every shard; make it with detco index --shards ... --out DIR and give DIR`,
    );
  }
  checkRunOptions(data, worldSize);
  return {
    ...data,
    divide,
    workers: data.workers ?? Math.min(Math.ceil(usableCores()), lanes / worldSize),
    cacheSize: data.cacheSize === undefined ? undefined : byteSize('cacheSize', data.cacheSize),
    decodedCache: decodedBytes(data),
    decodeMemory: decodeBytes(data),
    maxFieldBytes: byteSize('maxFieldBytes', data.maxFieldBytes),
  };
}

function unevenLanes(lanes: number, worldSize: number): string {
  const below = lanes - (lanes % worldSize);
  const usable = below === 0 ? `${worldSize}` : `${below} or ${below + worldSize}`;
  return `${lanes} lanes cannot be shared equally by worldSize ${worldSize}; use ${usable}`;
}

function decodeBytes({ decodeMemory }: Pick<PipelineOptions, 'decodeMemory'>): number {
  return decodeMemory === undefined ? defaultDecodeMemory() : byteSize('decodeMemory', decodeMemory);
}

function decodedBytes({ decodedCache }: Pick<PipelineOptions, 'decodedCache'>): number | undefined {
  if (decodedCache === undefined || NO_BYTES.test(String(decodedCache))) return undefined;
  const bytes = byteSize('decodedCache', decodedCache);
  if (bytes <= MOST_DECODED_BYTES) return bytes;
  const most = formatByteSize(MOST_DECODED_BYTES);
  throw new PipelineOptionError('decodedCache', `${quoted(decodedCache)} is more than this Node can share, ${most}; use less`);
}

function byteSize(option: keyof PipelineOptions, value: string | number): number {
  try {
    return parseByteSize(value);
  } catch (error) {
    throw new PipelineOptionError(option, reasonOf(error), { cause: error });
  }
}
