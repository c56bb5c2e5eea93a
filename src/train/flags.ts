/**
 * The options of a run that `detco train` has a flag for: what its help says, what its messages call them, and how their text is read.
 * What is a name, a list or an amount of bytes is left to the config, which reads it from files as well.
 */
import { MOST_THREADS } from '../engine/threads.js';
import { METHOD_FLAGS } from '../model/methods/flags.js';
import { LIMITS } from './limits.js';

export interface Flag {
  /** Name in a config, with a dot before what is nested. */
  readonly option: string;
  readonly flag: `--${string}`;
  readonly help: string;
  /** Bounds of a whole number. */
  readonly whole?: readonly [low: number, high: number];
  /** The highest of numbers above 0. */
  readonly positive?: number;
  /** What a message gives for an example; a folder's where there are no bounds. */
  readonly example?: string;
}

/** In the order of the help. */
export const FLAGS: readonly Flag[] = [
  {
    option: 'shards',
    flag: '--shards <spec...>',
    help: 'training shards: paths, brace ranges {000000..000009}, globs, http(s):// or s3:// URLs',
  },
  { option: 'valShards', flag: '--val-shards <spec...>', help: 'labelled shards for kNN accuracy' },
  {
    option: 'skipShards',
    flag: '--skip-shards <name...>',
    help: 'training shards to leave out, such as train-000123.tar: the others keep their order',
  },
  {
    option: 'indexDir',
    flag: '--index <folder>',
    help: 'indexes of the shards, by which a resume reads only what it needs (default: index in the run); runs may share it',
    example: 'shards/index',
  },
  {
    option: 'checkShards',
    flag: '--check-shards <what>',
    help: 'what is asked of each shard at the start and compared at a resume: versions (times, ETags), sizes, or none (default versions)',
  },
  {
    option: 'cacheDir',
    flag: '--cache-dir <folder>',
    help: 'keep remote shards here once they are read; runs may share it',
    example: 'cache',
  },
  {
    option: 'cacheSize',
    flag: '--cache-size <size>',
    help: 'what the folder may hold: 200G (powers of 1024), 200GB (of 1000) (default: nine tenths of what its disk has for it)',
  },
  {
    option: 'decodedCache',
    flag: '--decoded-cache <size>',
    help: 'keep decoded images in memory, up to 200MB for example: for data sets of small images (default: 0, none; tiny presets: 100MB)',
  },
  {
    option: 'maxPixels',
    flag: '--max-pixels <n>',
    help: 'leave larger images out, as bad samples (default 67108864)',
    whole: LIMITS.maxPixels,
    example: '67108864',
  },
  {
    option: 'decodeMemory',
    flag: '--decode-memory <size>',
    help: 'what images may take while they are decoded and wait for their place (default: an eighth of the memory)',
  },
  {
    option: 'preset',
    flag: '--preset <name>',
    help: 'a method and how it trains, such as detco-r50, moco-v2-r50, simclr-r50 or tiny; docs/methods.md has them all (default detco-r50)',
  },
  { option: 'engine', flag: '--engine <name>', help: 'auto, wasm, tensorflow or torch (default auto)' },
  {
    option: 'precision',
    flag: '--precision <name>',
    help: 'fp32, tf32 or bf16: what convolutions and matrix products compute in (default fp32)',
  },
  { option: 'device', flag: '--device <name>', help: 'auto, cpu, cuda or cuda:N (default auto: the best the engine finds)' },
  {
    option: 'threads',
    flag: '--threads <n>',
    help: "threads of the engine's CPU kernels (default: the engine's choice)",
    whole: [1, MOST_THREADS],
    example: '2',
  },
  { option: 'batch', flag: '--batch <n>', help: 'images an update', whole: LIMITS.batch, example: '256' },
  {
    option: 'epochs',
    flag: '--epochs <n>',
    help: 'epochs of the run; the learning rate follows them',
    whole: LIMITS.epochs,
    example: '200',
  },
  { option: 'steps', flag: '--steps <n>', help: 'end after so many updates, if that is sooner', whole: LIMITS.steps, example: '1000' },
  {
    option: 'workers',
    flag: '--workers <n>',
    help: 'worker threads of the pipeline (default: the cores)',
    whole: LIMITS.workers,
    example: '8',
  },
  {
    option: 'augment',
    flag: '--augment <where>',
    help: 'worker, or device: colour, blur and point operations on the engine, for few cores and a large GPU',
  },
  { option: 'seed', flag: '--seed <n>', help: 'of order, views, weights and permutations (default 0)', whole: LIMITS.seed, example: '1' },
  {
    option: 'lr',
    flag: '--lr <rate>',
    help: 'learning rate at batch 256; scaled by batch/256, or as lrScaling of the preset says',
    positive: LIMITS.lr[1],
    example: '0.03',
  },
  ...METHOD_FLAGS,
  {
    option: 'checkpointEvery',
    flag: '--checkpoint-every <steps>',
    help: 'checkpoints besides the one at the end of each epoch',
    whole: LIMITS.checkpointEvery,
    example: '1000',
  },
  {
    option: 'evalEvery',
    flag: '--eval-every <epochs>',
    help: 'epochs between kNN evaluations',
    whole: LIMITS.evalEvery,
    example: '5',
  },
];

/** `--batch` of `--batch <n>` */
export function flagName({ flag }: Pick<Flag, 'flag'>): string {
  return flag.split(' ')[0] ?? flag;
}

/** Flags whose names are not those of their options, and of other commands besides. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ...FLAGS.map((one) => [one.option, flagName(one)] as const).filter(([option, flag]) => flag !== `--${option}`),
  // The pipeline's name of it.
  ['batchSize', '--batch'],
  ['classesFile', '--classes-file'],
  ['imageField', '--image-field'],
  ['labelField', '--label-field'],
]);

/** An option as messages name it: whoever reads one has written its name in a program or a file, or a flag: `batchSize (--batch)`. */
export function optionName(name: string): string {
  const flag = OTHER_NAMES.get(name);
  return flag === undefined ? name : `${name} (${flag})`;
}
