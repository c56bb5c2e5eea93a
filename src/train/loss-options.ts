/** What the losses of a run depend on: what a resume may not change, and what a checkpoint holds of it. */
import { createHash } from 'node:crypto';
import { isOptions, type Options } from '../common/options.js';
import { quoted } from '../common/quoted.js';
import { shardName } from '../pipeline/source/identity.js';
import type { TrainState } from './checkpoint-state.js';
import type { TrainConfig } from './config-schema.js';
import { inFirstFormat } from './earlier-options.js';
import { optionName } from './flags.js';
import { CHECKPOINT_FORMAT, FIRST_FORMAT } from './format.js';
import { OptionsError } from './options-error.js';

/**
 * What may differ when a run is resumed: nothing here touches the loss sequence, but for the rounding of another device and for shards
 * that are left out from there on, which the trainer says.
 */
export const FREE_ON_RESUME: ReadonlySet<string> = new Set([
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
  'decoder',
  'indexDir',
  'checkpointEvery',
  'keepCheckpoints',
  'evalEvery',
  'evaluate',
  'knn',
  'log',
]);

/** JSON with sorted keys: equal for equal options. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isOptions(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

/**
 * Every option that the loss sequence depends on, but for the shards.
 *
 * @param format of the checkpoint that they are held against
 */
export function lossOptions(config: TrainConfig, format = CHECKPOINT_FORMAT): Options {
  const named = format === FIRST_FORMAT ? inFirstFormat(config) : config;
  return Object.fromEntries(Object.entries<unknown>(named).filter(([key]) => !FREE_ON_RESUME.has(key) && key !== 'shards'));
}

/** Of those options what a digest is of: options of before there was a choice, and those that have chosen the same since, have one digest. */
function digested({ precision, draft, decode, recipe, ...rest }: Options): Options {
  const { strength, ...drawn } = Object(recipe) as Options;
  return {
    ...rest,
    ...(precision !== 'fp32' && { precision }),
    ...(draft === true && { draft }),
    ...(decode === 'device' && { decode }),
    recipe: { ...drawn, ...(strength !== 1 && { strength }) },
  };
}

/** Of those options, and the shards by their names: they may come to lie elsewhere. */
export function configDigest(config: TrainConfig, shards: readonly string[], format = CHECKPOINT_FORMAT): string {
  return createHash('sha256')
    .update(canonical({ ...digested(lossOptions(config, format)), shards: shards.map(shardName) }))
    .digest('hex');
}

/**
 * Throws an OptionsError where a checkpoint was made with other options, or of other shards.
 *
 * @param run.path its folder, whose `config.json` was changed then
 */
export function assertMadeWith(
  config: TrainConfig,
  shards: readonly string[],
  { path, checkpoint, state }: { readonly path: string; readonly checkpoint: string; readonly state: TrainState },
): void {
  if (state.configDigest === configDigest(config, shards, state.format)) return;
  const changed = state.options === undefined ? ['an option or a shard is another'] : changesIn(lossOptions(config), state.options);
  throw new OptionsError(
    `${path}/config.json is not what ${checkpoint} was made with: ${changed.join('; ') || 'a shard is another'}. ` +
      'Put back in config.json what was there, or start another run with another --out',
  );
}

/** `lr (--lr) is 0.1 and was 0.03` */
function changesIn(options: Options, before: Options): string[] {
  const [values, past] = [new Map(flat(options)), new Map(flat(before))];
  const [compared, comparedPast] = [new Map(flat(digested(options))), new Map(flat(digested(before)))];
  return [...new Set([...compared.keys(), ...comparedPast.keys()])].flatMap((name) => {
    if (canonical(compared.get(name)) === canonical(comparedPast.get(name))) return [];
    return [`${optionName(name)} is ${quotedOrNone(values.get(name))} and was ${quotedOrNone(past.get(name))}`];
  });
}

/** The value of an option that may not have been given. */
export function quotedOrNone(value: unknown): string {
  return value === undefined ? 'none' : quoted(value);
}

/** With `method.dim` for what is nested. */
export function flat(options: Options, prefix = ''): [name: string, value: unknown][] {
  return Object.entries(options).flatMap(([name, value]): [string, unknown][] =>
    isOptions(value) ? flat(value, `${prefix}${name}.`) : [[`${prefix}${name}`, value]],
  );
}
