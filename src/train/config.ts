/**
 * Every option of a run, parsed once: preset <- config file <- what the caller gives.
 *
 * `config.json` holds the result, so a run can be read, repeated and resumed without knowing what the defaults were.
 */
import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { given as givenOf, isOptions, type Options } from '../common/options.js';
import { optionsByKind } from '../common/kinds.js';
import { expectedOneOf } from '../common/nearest.js';
import { quoted } from '../common/quoted.js';
import { METHOD_NAMES, METHOD_PRESETS, methodKind } from '../model/index.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import { type ConfigInput, configSchema, parseConfig, type TrainConfig } from './config-schema.js';
import { inThisFormat, withOptimizer, withUnused } from './first-format.js';
import { optionName } from './flags.js';
import { canonical, FREE_ON_RESUME } from './loss-options.js';
import { checkNames } from './option-names.js';
import { OptionsError } from './options-error.js';
import { checkViews } from './training-recipe.js';

export const PRESET_NAMES: readonly string[] = Object.keys(METHOD_PRESETS);

/** Options made of options: a layer changes the ones it names and leaves the others. */
const NESTED: ReadonlySet<string> = new Set(['method', 'optimizer', 'recipe', 'knn']);

function merge(...layers: readonly Options[]): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      const below = merged[key];
      merged[key] = NESTED.has(key) && isOptions(below) && isOptions(value) ? { ...kept(key, below, value['name']), ...value } : value;
    }
  }
  return merged;
}

/** What stays of the options below, where those above may be of another optimizer or recipe. */
function kept(key: string, below: Options, name: unknown): Options {
  if (name === undefined || name === below['name']) return below;
  // Momentum and decay suit one optimizer; sizes are of the run, whatever is drawn at them.
  if (key !== 'recipe') return {};
  return givenOf(below, optionsByKind(recipeOptionsSchema).get(String(name)) ?? []);
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
  if (value !== null && !isOptions(value))
    throw new OptionsError(`The config file "${path}" holds ${quoted(value)}: expected options, one a line, as in "batch: 64"`);
  const options = withOptimizer(value ?? {});
  checkNames(options, ` in ${path}`);
  return options;
}

/** Rules between options. */
function check(config: TrainConfig): TrainConfig {
  const { batch, method } = config;
  try {
    methodKind(method.name).check?.(method, { batch });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OptionsError(error.message, { cause: error });
  }
  checkViews(config);
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
  const start = merge({ optimizer: { name: 'sgd' } }, { ...defaults });
  checkNames(file, '', start);
  const chosenInFile = merge(start, file);
  checkNames(given, '', chosenInFile);
  const merged = merge(chosenInFile, given, { preset });
  if (merged['shards'] === undefined)
    throw new OptionsError('No shards to train on: give --shards, such as --shards "data/train-{000000..000009}.tar"');
  const config = parseConfig(merged);
  const chosen = new Set([given, file].flatMap(({ method = {} }) => Object.keys(method)));
  const kind = methodKind(name);
  return check({ ...config, method: kind.fit?.(config.method, config.batch, chosen) ?? config.method });
}

/** An option as `config.json` has it: a path is absolute there. */
function asSaved(key: string, value: unknown): unknown {
  const schema = new Map<string, z.ZodType>(Object.entries(configSchema.shape)).get(key);
  return schema?.safeParse(value).data ?? value;
}

/**
 * The options of a run that goes on: the saved ones, with those changed that do not touch the loss sequence.
 *
 * @param saved options from `config.json`
 * @param given what the caller asks for this time; `shards` are compared by the trainer, once they are listed
 * @throws OptionsError when anything else differs, naming both values
 */
export function resumeConfig(saved: Options, given: ConfigInput, file: ConfigInput, path: string): TrainConfig {
  const before = parseConfig(inThisFormat(saved));
  checkNames(file, '', before);
  checkNames(given, '', before);
  const asked = merge(file, given);
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
    if (NESTED.has(key) && isOptions(value))
      for (const [inner, part] of Object.entries(value)) differ(`${key}.${inner}`, part, isOptions(was) ? was[inner] : undefined);
    else differ(key, asSaved(key, value), was);
  }
  const free = Object.entries(asked).filter(([key]) => FREE_ON_RESUME.has(key) || key === 'shards');
  const after = parseConfig(merge(before, Object.fromEntries(free)));
  // What was left out before stays out.
  const skipShards = [...new Set([...(before.skipShards ?? []), ...(after.skipShards ?? [])])];
  return check(withUnused(skipShards.length === 0 ? after : { ...after, skipShards }, saved));
}
