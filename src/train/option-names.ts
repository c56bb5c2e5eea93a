/** Options that do not exist, or not there. */
import { expectedOptions, type Kinds, kindsWith, optionsByKind } from '../common/kinds.js';
import { expectedOneOf } from '../common/nearest.js';
import { isOptions, type Options } from '../common/options.js';
import { quoted } from '../common/quoted.js';
import { knnSchema } from '../eval/options.js';
import { METHOD_NAMES, METHOD_PRESETS } from '../model/index.js';
import { configSchema, KINDS } from './config-schema.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';

/**
 * Throws an OptionsError at the first option that does not exist, with the names that come nearest, or with what has it, and where options
 * of a kind should be and none are.
 *
 * @param options a layer of options, which may leave out of which kind they are
 * @param where of the layer, behind a name: `` or ` in FILE`
 * @param below what it is laid upon, which says it then; as long as that is not known, what is inside of options is not looked at
 */
export function checkNames(options: Options, where: string, below?: Options): void {
  for (const [key, value] of Object.entries(options)) {
    assertKnown(key, Object.keys(configSchema.shape), where);
    if (below === undefined || value === undefined) continue;
    const kinds = KINDS[key];
    if (kinds) checkKind(key, kinds, value, where, below[key]);
    else if (key === 'knn' && isOptions(value))
      for (const name of Object.keys(value)) assertKnown(name, Object.keys(knnSchema.shape), where, 'knn.');
  }
}

function checkKind(key: string, kinds: Kinds, options: unknown, where: string, below: unknown): void {
  const { discriminator: by } = kinds.def;
  const byKind = optionsByKind(kinds);
  const usual = isOptions(below) ? below[by] : undefined;
  if (!isOptions(options)) {
    // The method is the preset's.
    if (key === 'method' && usual !== undefined && options !== usual && METHOD_NAMES.includes(String(options)))
      throw new OptionsError(
        `Unusable options${where}: method = ${quoted(options)}: the method is the preset's, ${String(usual)}: ${presetsOf(String(options))}`,
      );
    const names = key === 'method' && usual !== undefined ? [String(usual)] : [...byKind.keys()];
    const expected = expectedOptions({ option: key, by, names }, options, usual === undefined ? names[0] : String(usual));
    throw new OptionsError(`Unusable options${where}: ${key} = ${quoted(options)}: ${expected}`);
  }
  const kind = options[by] ?? usual;
  const known = byKind.get(String(kind)) ?? [...new Set([...byKind.values()].flat())];
  for (const name of Object.keys(options)) {
    const owners = known.includes(name) ? [] : kindsWith(kinds, name);
    if (owners.length === 0) assertKnown(name, known, where, `${key}.`);
    else
      throw new OptionsError(
        `${optionName(`${key}.${name}`)}${where} is an option of ${owners.join(', ')}, and not of ${String(kind)}: leave it out, or use ` +
          (key === 'method' ? `a preset of ${owners.join(' or ')}` : `${key}.${by} ${owners.join(' or ')}`),
      );
  }
}

/** How a method is chosen that is not the preset's. */
export function presetsOf(method: string): string {
  const names = Object.entries(METHOD_PRESETS).flatMap(([preset, { method: of }]) => (of.name === method ? [preset] : []));
  return names.length === 0 ? `expected a method of ${METHOD_NAMES.join(', ')}` : `use a preset of ${method} (${names.join(', ')})`;
}

function assertKnown(name: string, known: readonly string[], where: string, prefix = ''): void {
  if (!known.includes(name)) throw new OptionsError(`Unknown option "${prefix}${name}"${where}: ${expectedOneOf(name, known)}`);
}
