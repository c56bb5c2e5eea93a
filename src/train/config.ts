/**
 * Every option of a run, parsed once: preset <- config file <- what the caller gives.
 *
 * `config.json` holds the result, so a run can be read, repeated and resumed without knowing what the defaults were.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { ENGINE_NAMES, PRECISIONS } from '../engine/engine.js';
import { METHOD_NAMES, METHOD_PRESETS, type MethodInput, methodKind, methodOptionsSchema } from '../model/index.js';
import { PIPELINE_DEFAULTS, recipes, type Recipe, type View } from '../pipeline/index.js';
import { MOST_GLOBAL_SIDE, MOST_PATCH_SIDE } from '../pipeline/augment/recipe.js';
import { CHECK_SHARDS } from '../pipeline/shard/same-shards.js';
import { shardName, withoutSecrets } from '../pipeline/source/identity.js';
import { expectedOneOf } from '../common/nearest.js';
import { oneOf } from '../common/one-of.js';
import { optionName } from './flags.js';
import { quoted } from '../common/quoted.js';
import { inFirstFormat, inThisFormat, withOptimizer } from './first-format.js';
import { CHECKPOINT_FORMAT, FIRST_FORMAT } from './format.js';
import { LIMITS } from './limits.js';
import { optimizerSchema } from './optimizer/index.js';
import { LR_SCALINGS } from './schedule.js';

export const PRESET_NAMES: readonly string[] = Object.keys(METHOD_PRESETS);

/** Options that cannot be used; the message quotes the value and says what was expected. */
export class OptionsError extends Error {
  override name = 'OptionsError';

  constructor(message: string, options?: ErrorOptions) {
    super(withoutSecrets(message), options);
  }
}

const count = z.int().positive();
/** Absolute, so that a resume from another place means the same. */
const absolutePath = z
  .string()
  .min(1)
  .transform((path) => resolve(path));
const rate = z.number().nonnegative();
const within = ([low, high]: readonly [number, number]) => z.int().min(low).max(high);

const RECIPE_NAMES = ['detco', 'mocoV2', 'mocoV1', 'simclr', 'byol'] as const;

const recipeSchema = z.strictObject({
  name: oneOf(RECIPE_NAMES),
  /** Side of a global view, pixels. */
  globalSize: count.max(MOST_GLOBAL_SIDE).default(224),
  /** Side of a patch, pixels. */
  patchSize: count.max(MOST_PATCH_SIDE).default(64),
  /** RandAugment on the global views of `detco`. */
  randAugment: z.boolean().default(true),
});

const knnSchema = z.strictObject({
  /** Images of the training shards that vote, at most. */
  bank: within(LIMITS.knn).default(2000),
  /** Images of the validation shards that are classified, at most. */
  queries: within(LIMITS.knn).default(2000),
  /** Neighbours; by default 200, or a tenth of a smaller bank. */
  k: within(LIMITS.knn).optional(),
  temperature: z.number().positive().max(1000).default(0.07),
});

const configSchema = z.strictObject({
  preset: oneOf(PRESET_NAMES),
  /** Paths, brace ranges, globs, URLs. */
  shards: z.array(z.string().min(1)).min(1),
  /** Training shards that are not read, by their names; braces too. */
  skipShards: z.array(z.string().min(1)).min(1).optional(),
  /** Labelled shards for kNN; without them nothing is evaluated. */
  valShards: z.array(z.string().min(1)).min(1).optional(),
  /** What follows the key of a sample in the names of its image and its label, and a file of class names where labels are such. */
  imageField: z.string().min(1).optional(),
  labelField: z.string().min(1).optional(),
  classesFile: absolutePath.optional(),
  engine: oneOf(['auto', ...ENGINE_NAMES]).default('auto'),
  /** What convolutions and matrix products compute in. */
  precision: oneOf(PRECISIONS).default('fp32'),
  /** `auto`, `cpu`, `cuda`, or one of several GPUs: `cuda:1`. */
  device: z.string().min(1).default('auto'),
  /** Threads of the engine's CPU kernels; by default the engine's choice. */
  threads: count.optional(),
  /** Images an update. */
  batch: within(LIMITS.batch),
  /** Epochs of the whole run; the learning rate is a function of them. */
  epochs: within(LIMITS.epochs),
  /** Updates after which the run ends, if that is before `epochs`. Does not move the learning rate. */
  steps: within(LIMITS.steps).optional(),
  seed: within(LIMITS.seed).default(0),
  /** Learning rate at batch 256, and how it goes with the batch: by batch/256, or by the square root of that. */
  lr: z.number().positive().max(LIMITS.lr[1]),
  lrScaling: oneOf(LR_SCALINGS).default('linear'),
  schedule: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('cosine') }),
    z.strictObject({
      kind: z.literal('step'),
      milestones: z.array(within(LIMITS.milestone)),
      factor: z.number().positive().max(1000).default(0.1),
    }),
  ]),
  /** Updates of linear warm-up. */
  warmupSteps: within(LIMITS.warmupSteps).default(0),
  /** Epochs over which the rate rises in steps of an epoch, whatever the batch. */
  warmupEpochs: within(LIMITS.warmupEpochs).default(0),
  optimizer: optimizerSchema.prefault({ name: 'sgd' }),
  method: methodOptionsSchema,
  recipe: recipeSchema,
  /** Worker threads of the pipeline; by default the machine's cores. */
  workers: within(LIMITS.workers).optional(),
  /** Virtual streams that the order of samples is made from. */
  lanes: within(LIMITS.lanes).default(PIPELINE_DEFAULTS.lanes),
  /** Compressed samples in each lane's shuffle buffer. */
  shuffle: within(LIMITS.shuffle).default(PIPELINE_DEFAULTS.shuffle),
  /** Who does colour, blur and RandAugment's point operations. */
  augment: oneOf(['worker', 'device']).default(PIPELINE_DEFAULTS.augment),
  /** Folder that keeps remote shards once they are read, and what it may hold: bytes, or text such as `200GB`. */
  cacheDir: absolutePath.optional(),
  cacheSize: z.union([z.string(), z.number()]).optional(),
  /** What decoded images may take of memory, kept for the next epochs: bytes, or text such as `200MB`. For small images. */
  decodedCache: z.union([z.string(), z.number()]).optional(),
  /** Folder of shard indexes, which a resume uses to read only what it needs; by default `index` in the run's own. */
  indexDir: absolutePath.optional(),
  /** What is asked of each shard at the start, and compared at a resume: its time or ETag, its size only, or nothing. */
  checkShards: oneOf(CHECK_SHARDS).default(PIPELINE_DEFAULTS.checkShards),
  onBadSample: oneOf(['skip', 'fail']).default(PIPELINE_DEFAULTS.onBadSample),
  /** Bad samples to bear: a count, or below 1 a share. */
  maxBadSamples: rate.max(LIMITS.maxBadSamples[1]).default(PIPELINE_DEFAULTS.maxBadSamples),
  /** Pixels above which an image is a bad sample; the pipeline's default where it is not given. */
  maxPixels: within(LIMITS.maxPixels).optional(),
  /** What images may take of memory while they are decoded and wait for their place: bytes, or text such as `512MB`. */
  decodeMemory: z.union([z.string(), z.number()]).optional(),
  /** Updates between checkpoints, besides the one at the end of each epoch. */
  checkpointEvery: within(LIMITS.checkpointEvery).optional(),
  /** Newest checkpoints that are kept. */
  keepCheckpoints: within(LIMITS.keepCheckpoints).default(2),
  /** Epochs between evaluations, besides those before the first and after the last update. */
  evalEvery: within(LIMITS.evalEvery).default(1),
  knn: knnSchema.prefault({}),
});

export type TrainConfig = Readonly<z.output<typeof configSchema>>;
type FullInput = z.input<typeof configSchema>;

/** What a caller may give: everything but `shards` has a default in the preset. */
export type ConfigInput = Partial<Omit<FullInput, 'method' | 'optimizer' | 'recipe' | 'knn'>> & {
  /** Of the preset's method, whose name need not be repeated. */
  readonly method?: Partial<MethodInput>;
  readonly optimizer?: Partial<FullInput['optimizer']>;
  readonly recipe?: Partial<FullInput['recipe']>;
  readonly knn?: Partial<FullInput['knn']>;
};

/** Options made of options: a layer changes the ones it names and leaves the others. */
const NESTED: ReadonlySet<string> = new Set(['method', 'optimizer', 'recipe', 'knn']);

/**
 * What may differ when a run is resumed: nothing here touches the loss sequence, but for the rounding of another device and for shards
 * that are left out from there on, which the trainer says.
 */
const FREE_ON_RESUME: ReadonlySet<string> = new Set([
  'steps',
  'valShards',
  'classesFile',
  'workers',
  'device',
  'threads',
  'checkShards',
  'skipShards',
  'cacheDir',
  'cacheSize',
  'decodedCache',
  'decodeMemory',
  'indexDir',
  'checkpointEvery',
  'keepCheckpoints',
  'evalEvery',
  'knn',
]);

type Layer = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function merge(...layers: readonly Layer[]): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      const below = merged[key];
      const nested = NESTED.has(key) && isRecord(below) && isRecord(value);
      // Another optimizer has other options.
      const other = key === 'optimizer' && nested && value['name'] !== undefined && value['name'] !== below['name'];
      merged[key] = nested && !other ? { ...below, ...value } : value;
    }
  }
  return merged;
}

/** Reads a YAML (or JSON) file of options; see `checkNames` for its errors. */
export async function readConfigFile(path: string): Promise<ConfigInput> {
  let value: unknown;
  try {
    value = parseYaml(await readFile(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const form = 'expected a YAML file of options, one a line, as in "batch: 64"';
    throw new OptionsError(`Cannot read the config file "${path}": ${reason}; ${form}`, { cause: error });
  }
  if (value !== null && !isRecord(value))
    throw new OptionsError(`The config file "${path}" holds ${quoted(value)}: expected options, one a line, as in "batch: 64"`);
  const options = withOptimizer(value ?? {});
  checkNames(options, ` in ${path}`);
  return options;
}

/**
 * Throws an OptionsError at the first option that does not exist, with the names that come nearest.
 *
 * @param method whose options `method` holds; any method's where that is not known yet
 */
function checkNames(options: Layer, where: string, method?: string): void {
  const check = (key: string, names: readonly string[], prefix = '') => {
    const known = [...new Set(names)];
    if (!known.includes(key)) throw new OptionsError(`Unknown option "${prefix}${key}"${where}: ${expectedOneOf(key, known)}`);
  };
  const inner: Readonly<Record<string, readonly string[]>> = {
    method: method === undefined ? METHOD_NAMES.flatMap(optionNames) : optionNames(method),
    optimizer: optimizerSchema.options.flatMap(({ shape }) => Object.keys(shape)),
    recipe: Object.keys(recipeSchema.shape),
    knn: Object.keys(knnSchema.shape),
  };
  for (const [key, value] of Object.entries(options)) {
    check(key, Object.keys(configSchema.shape));
    const known = inner[key];
    if (!known || !isRecord(value)) continue;
    for (const name of Object.keys(value)) {
      const owners = key === 'method' && !known.includes(name) ? METHOD_NAMES.filter((one) => optionNames(one).includes(name)) : [];
      if (owners.length > 0)
        throw new OptionsError(
          `${optionName(`method.${name}`)}${where} is an option of ${owners.join(', ')}, and not of ${method}: leave it out, or use a preset of another method`,
        );
      check(name, known, `${key}.`);
    }
  }
}

function optionNames(method: string): string[] {
  return Object.keys(methodKind(method).schema.shape);
}

function parse(input: Layer): TrainConfig {
  const { success, data, error } = configSchema.safeParse(input);
  if (success) return data;
  const issues = error.issues.map(({ path, message }) => {
    let value: unknown = input;
    for (const key of path) value = isRecord(value) || Array.isArray(value) ? Reflect.get(value, key) : undefined;
    return `${optionName(path.join('.'))} = ${quoted(value)}: ${message}`;
  });
  throw new OptionsError(`Unusable options: ${issues.join('; ')}`);
}

/** Rules between options. */
function check(config: TrainConfig): TrainConfig {
  const { batch, method } = config;
  const kind = methodKind(method.name);
  try {
    kind.check?.(method, { batch });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OptionsError(error.message, { cause: error });
  }
  const needed = kind.views(method);
  const lacking = (recipe: Recipe) => needed.filter((view) => !(view in recipe.views));
  const missing = lacking(trainingRecipe(config));
  if (missing.length > 0) {
    const fitting = RECIPE_NAMES.filter((name) => lacking(trainingRecipe({ method, recipe: { ...config.recipe, name } })).length === 0);
    throw new OptionsError(
      `method ${method.name} needs the views ${missing.join(', ')}, which recipe "${config.recipe.name}" does not make: use recipe.name ${fitting.join(' or ')}`,
    );
  }
  return config;
}

function presetsOf(method: string): string {
  const names = PRESET_NAMES.filter((preset) => METHOD_PRESETS[preset]?.method.name === method);
  return names.length === 0 ? `expected a method of ${METHOD_NAMES.join(', ')}` : `use a preset of ${method} (${names.join(', ')})`;
}

/** The name of the preset that options are made from. */
export function presetOf({ preset, file }: { readonly preset?: string | undefined; readonly file?: ConfigInput | undefined }): string {
  return preset ?? file?.preset ?? 'detco-r50';
}

/**
 * The options of a new run.
 *
 * @param given what the caller asks for; its `preset`, or that of the file, or detco-r50, gives the rest
 * @param file the content of a config file, between the preset and `given`
 * @throws OptionsError
 */
export function resolveConfig(given: ConfigInput, file: ConfigInput = {}): TrainConfig {
  const preset = presetOf({ ...given, file });
  const defaults = Object.hasOwn(METHOD_PRESETS, preset) ? METHOD_PRESETS[preset] : undefined;
  if (defaults === undefined) throw new OptionsError(`Unknown preset "${preset}": ${expectedOneOf(preset, PRESET_NAMES)}`);
  const { name } = defaults.method;
  for (const asked of [given.method?.name, file.method?.name])
    if (asked !== undefined && asked !== name)
      throw new OptionsError(
        `method.name ${quoted(asked)} with preset "${preset}", which is of ${name}: ${presetsOf(asked)}, or leave method.name out`,
      );
  checkNames(given, '', name);
  checkNames(file, '', name);
  const merged = merge({ optimizer: { name: 'sgd' } }, { ...defaults }, file as Layer, given as Layer, { preset });
  if (merged['shards'] === undefined)
    throw new OptionsError('No shards to train on: give --shards, such as --shards "data/train-{000000..000009}.tar"');
  const config = parse(merged);
  const chosen = new Set([given, file].flatMap(({ method = {} }) => Object.keys(method)));
  const kind = methodKind(name);
  return check({ ...config, method: kind.fit?.(config.method, config.batch, chosen) ?? config.method });
}

/**
 * The options of a run that goes on: the saved ones, with those changed that do not touch the loss sequence.
 *
 * @param saved options from `config.json`
 * @param given what the caller asks for this time; `shards` are compared by the trainer, once they are listed
 * @throws OptionsError when anything else differs, naming both values
 */
export function resumeConfig(saved: unknown, given: ConfigInput, file: ConfigInput, path: string): TrainConfig {
  const before = parse(inThisFormat(isRecord(saved) ? saved : {}));
  checkNames(given, '', before.method.name);
  checkNames(file, '', before.method.name);
  const asked = merge(file as Layer, given as Layer);
  const differ = (name: string, value: unknown, was: unknown) => {
    if (canonical(value) === canonical(was)) return;
    throw new OptionsError(
      `${optionName(name)} ${quoted(value)} differs from ${quoted(was)}, with which ${path} began: a resumed run keeps its options; ` +
        `leave ${optionName(name)} out, or start another run with another --out`,
    );
  };
  for (const [key, value] of Object.entries(asked)) {
    if (FREE_ON_RESUME.has(key) || key === 'shards' || (key === 'engine' && value === 'auto')) continue;
    const was = Reflect.get(before, key) as unknown;
    if (NESTED.has(key) && isRecord(value))
      for (const [inner, part] of Object.entries(value)) differ(`${key}.${inner}`, part, isRecord(was) ? was[inner] : undefined);
    else differ(key, value, was);
  }
  const free = Object.entries(asked).filter(([key]) => FREE_ON_RESUME.has(key) || key === 'shards');
  const after = parse(merge(before as Layer, Object.fromEntries(free)));
  // What was left out before stays out.
  const skipShards = [...new Set([...(before.skipShards ?? []), ...(after.skipShards ?? [])])];
  return check(skipShards.length === 0 ? after : { ...after, skipShards });
}

/** JSON with sorted keys: equal for equal options. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

/**
 * Names every option that the loss sequence depends on, and the shards by their names: they may come to lie elsewhere.
 *
 * @param format of the checkpoint that holds the digest
 */
export function configDigest(config: TrainConfig, shards: readonly string[], format = CHECKPOINT_FORMAT): string {
  // A config.json without `precision` is of a run in fp32: both have one digest.
  const { precision, ...rest } = config;
  const options = format === FIRST_FORMAT ? inFirstFormat(rest) : rest;
  const named = precision === 'fp32' ? options : { ...options, precision };
  const bound = Object.entries(named).filter(([key]) => !FREE_ON_RESUME.has(key) && key !== 'shards');
  return createHash('sha256')
    .update(canonical({ ...Object.fromEntries(bound), shards: shards.map(shardName) }))
    .digest('hex');
}

/**
 * The recipe of the training views. Two methods that take as many whole images may call them otherwise: a recipe of either serves both,
 * view by view in their order.
 */
export function trainingRecipe({
  recipe: { name, globalSize, patchSize, randAugment },
  method,
}: Pick<TrainConfig, 'recipe' | 'method'>): Recipe {
  const recipe: Recipe = name === 'detco' ? recipes.detco({ globalSize, patchSize, randAugment }) : recipes[name]({ globalSize });
  const needed = methodKind(method.name).views(method);
  // What no loss reads is not made.
  if (needed.every((view) => view in recipe.views))
    return { ...recipe, views: Object.fromEntries(Object.entries(recipe.views).filter(([view]) => needed.includes(view))) };
  const made = Object.values(recipe.views);
  if (made.length !== needed.length || made.some(({ kind }) => kind !== 'image')) return recipe;
  return { name, views: Object.fromEntries(needed.map((view, i) => [view, made[i] as View])) };
}
