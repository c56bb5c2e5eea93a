/**
 * Every option of a run, parsed once: preset <- config file <- what the caller gives.
 *
 * `config.json` holds the result: a run can be read, repeated and resumed by it. Optional ones that nobody gave are not in it.
 */
import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { isOptions, type Options } from '../common/options.js';
import { expectedOneOf } from '../common/nearest.js';
import { quoted } from '../common/quoted.js';
import { METHOD_PRESETS, methodKind } from '../model/index.js';
import { PIPELINE_DEFAULTS } from '../pipeline/defaults.js';
import { checkRunOptions } from '../pipeline/run-options.js';
import { LABEL_FIELD } from '../pipeline/shard/member.js';
import { type ConfigInput, configSchema, KINDS, parseConfig, type TrainConfig } from './config-schema.js';
import { asOptionsError } from './data-options.js';
import { checkRanks, forRanks } from './rank-options.js';
import { inThisVersion, withOptimizer, withoutUnused, withUnused } from './earlier-options.js';
import { optionName } from './flags.js';
import { canonical, FREE_ON_RESUME, quotedOrNone } from './loss-options.js';
import { merge, NESTED } from './merge.js';
import { checkNames, presetsOf } from './option-names.js';
import { OptionsError } from './options-error.js';
import { withoutFacts } from './run-facts.js';
import { checkViews } from './training-recipe.js';

export const PRESET_NAMES: readonly string[] = Object.keys(METHOD_PRESETS);

/**
 * Reads a YAML (or JSON) file of options, or a run's `config.json`, whose facts are passed over. Options inside a method, an optimizer or a
 * recipe are checked when it is known what they are laid upon.
 *
 * @throws OptionsError for a file that cannot be read, and for an option that does not exist
 */
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
  const options = withOptimizer(withoutFacts(value ?? {}), where(path));
  checkNames(options, where(path));
  return options;
}

/** Of an option that a message names: the file that has it. */
function where(path: string | undefined): string {
  return path === undefined ? '' : ` in ${path}`;
}

/**
 * Where an option comes from, by its path: the config file, unless the caller gives the option too.
 *
 * @returns ` in FILE`, or nothing
 */
function whereIn(file: ConfigInput, filePath: string | undefined, given: ConfigInput): (path: readonly PropertyKey[]) => string {
  const has = (options: unknown, [key, ...rest]: readonly string[]): boolean =>
    key === undefined || (isOptions(options) && options[key] !== undefined && has(options[key], rest));
  return (path) => {
    const option = path.slice(0, NESTED.has(String(path[0])) ? 2 : 1).map(String);
    return has(file, option) && !has(given, option) ? where(filePath) : '';
  };
}

/** Rules between options. */
function check(config: TrainConfig, { ranks, resumed = false }: { readonly ranks: number; readonly resumed?: boolean }): TrainConfig {
  const { batch, method } = config;
  checkRanks(config, { ranks, resumed });
  try {
    // The pipeline's own, before an engine starts.
    checkRunOptions(config, ranks);
    methodKind(method.name).check?.(method, { batch, resumed });
    checkViews(config);
  } catch (error) {
    asOptionsError(error);
  }
  return config;
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
 * @param filePath where that file is, for messages
 * @param ranks that train together
 * @throws OptionsError
 */
export function resolveConfig(given: ConfigInput, file: ConfigInput = {}, filePath?: string, ranks = 1): TrainConfig {
  const preset = presetOf({ ...given, file });
  const defaults = Object.hasOwn(METHOD_PRESETS, preset) ? METHOD_PRESETS[preset] : undefined;
  const whereOf = whereIn(file, filePath, given);
  if (defaults === undefined)
    throw new OptionsError(`Unknown preset "${preset}"${whereOf(['preset'])}: ${expectedOneOf(preset, PRESET_NAMES)}`);
  const { name } = defaults.method;
  for (const asked of [given.method?.name, file.method?.name])
    if (asked !== undefined && asked !== name)
      throw new OptionsError(
        `method.name ${quoted(asked)}${whereOf(['method', 'name'])} with preset "${preset}", which is of ${name}: ${presetsOf(asked)}, or leave method.name out`,
      );
  const start = merge({ optimizer: { name: 'sgd' } }, { ...defaults });
  checkNames(file, where(filePath), start);
  checkNames(given, '', merge(start, file));
  const merged = merge(start, file, given, { preset });
  if (merged['shards'] === undefined)
    throw new OptionsError('No shards to train on: give --shards, such as --shards "data/train-{000000..000009}.tar"');
  const config = parseConfig(merged, whereOf);
  const chosen = new Set([given, file].flatMap(({ method = {} }) => Object.keys(method)));
  if ((given.lanes ?? file.lanes) !== undefined) chosen.add('lanes');
  const kind = methodKind(name);
  const fitting = kind.fit?.(config.method, config.batch, chosen) ?? config.method;
  // Once more, for the order of the options: that of a run that goes on.
  return check(parseConfig(forRanks({ ...config, method: fitting }, ranks, chosen), whereOf), { ranks });
}

/** A run's options with what those come to that it did not say, which `config.json` leaves out. */
function complete(config: TrainConfig): Options {
  const { method } = config;
  const { decode, draft, maxPixels } = PIPELINE_DEFAULTS;
  return {
    decode,
    draft,
    maxPixels,
    labelField: LABEL_FIELD,
    ...config,
    method: { ...methodKind(method.name).implied?.(method), ...method },
  };
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
 * @param path the run's folder
 * @param filePath where the config file `file` is, for messages
 * @param ranks that train together
 * @throws OptionsError when anything else differs, naming both values
 */
export function resumeConfig(
  saved: Options,
  given: ConfigInput,
  file: ConfigInput,
  path: string,
  filePath?: string,
  ranks = 1,
): TrainConfig {
  const inConfig = where(`${path}/config.json`);
  const savedOptions = inThisVersion(saved, inConfig);
  checkNames(savedOptions, inConfig, savedOptions);
  const before = parseConfig(savedOptions, () => inConfig);
  const [fileUsed, givenUsed] = [withoutUnused(file, saved), withoutUnused(given, saved)];
  checkNames(fileUsed, where(filePath), before);
  checkNames(givenUsed, '', before);
  const asked = merge(fileUsed, givenUsed);
  const began = complete(before);
  const whereOf = whereIn(fileUsed, filePath, givenUsed);
  const differ = (name: string, value: unknown, was: unknown) => {
    if (canonical(value) === canonical(was)) return;
    throw new OptionsError(
      `${optionName(name)} ${quoted(value)}${whereOf(name.split('.'))} differs from ${quotedOrNone(was)}, with which ${path} began: a resumed run keeps its options; ` +
        `leave ${optionName(name)} out, or start another run with another --out`,
    );
  };
  for (const [key, value] of Object.entries(asked)) {
    if (FREE_ON_RESUME.has(key) || key === 'shards' || (key === 'engine' && value === 'auto')) continue;
    const was = began[key];
    if (NESTED.has(key) && isOptions(value))
      for (const [inner, part] of kindFirst(key, value)) differ(`${key}.${inner}`, part, isOptions(was) ? was[inner] : undefined);
    else differ(key, asSaved(key, value), was);
  }
  const free = Object.entries(asked).filter(([key]) => FREE_ON_RESUME.has(key) || key === 'shards');
  const after = parseConfig(merge(before, Object.fromEntries(free)), whereOf);
  // What was left out before stays out.
  const skipShards = [...new Set([...(before.skipShards ?? []), ...(after.skipShards ?? [])])];
  return check(withUnused(skipShards.length === 0 ? after : { ...after, skipShards }, saved), { ranks, resumed: true });
}

/** The options in `key`, and before the others the one that says of which kind they are. */
function kindFirst(key: string, options: Options): [name: string, value: unknown][] {
  const kind = KINDS[key]?.def.discriminator;
  return Object.entries(options).toSorted(([a], [b]) => Number(b === kind) - Number(a === kind));
}
