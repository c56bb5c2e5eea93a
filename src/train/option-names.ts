/** Options that do not exist, or not there. */
import { kindsWith, optionsByKind } from '../common/kinds.js';
import { expectedOneOf } from '../common/nearest.js';
import { isOptions, type Options } from '../common/options.js';
import { knnSchema } from '../eval/options.js';
import { configSchema, KINDS } from './config-schema.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';

/**
 * Throws an OptionsError at the first option that does not exist, with the names that come nearest, or with what has it.
 *
 * @param options a layer of options, which may leave out of which kind they are
 * @param where of the layer, behind a name: `` or ` in FILE`
 * @param below what it is laid upon, which says it then; where that is not known, options of any kind will do
 */
export function checkNames(options: Options, where: string, below?: Options): void {
  for (const [key, value] of Object.entries(options)) {
    assertKnown(key, Object.keys(configSchema.shape), where);
    if (isOptions(value)) checkInside(key, value, where, below);
  }
}

function checkInside(key: string, options: Options, where: string, below: Options | undefined): void {
  const kinds = KINDS[key];
  if (kinds === undefined) {
    if (key !== 'knn') return;
    for (const name of Object.keys(options)) assertKnown(name, Object.keys(knnSchema.shape), where, 'knn.');
    return;
  }
  const { discriminator } = kinds.def;
  const kind = below && { ...(isOptions(below[key]) && below[key]), ...options }[discriminator];
  const byKind = optionsByKind(kinds);
  const known = byKind.get(String(kind)) ?? [...new Set([...byKind.values()].flat())];
  for (const name of Object.keys(options)) {
    const owners = known.includes(name) ? [] : kindsWith(kinds, name);
    if (owners.length === 0) assertKnown(name, known, where, `${key}.`);
    else
      throw new OptionsError(
        `${optionName(`${key}.${name}`)}${where} is an option of ${owners.join(', ')}, and not of ${String(kind)}: leave it out, or use ` +
          (key === 'method' ? 'a preset of another method' : `${key}.${discriminator} ${owners.join(' or ')}`),
      );
  }
}

function assertKnown(name: string, known: readonly string[], where: string, prefix = ''): void {
  if (!known.includes(name)) throw new OptionsError(`Unknown option "${prefix}${name}"${where}: ${expectedOneOf(name, known)}`);
}
