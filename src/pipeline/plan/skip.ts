/**
 * Shards that are left out without leaving the plan: the others keep their place in the order, and the lanes that would read them are
 * shorter. A run can so go on without a shard that cannot be read.
 */
import { expandBraces } from '../source/braces.js';
import { optionName } from '../option-name.js';
import { shardName } from '../source/identity.js';

/** The names that `specs` give: of shards wherever they lie, or of locations; braces stand for several. */
export function skippedNames(specs: string | readonly string[]): ReadonlySet<string> {
  return new Set([specs].flat().flatMap((spec) => expandBraces(spec).map(shardName)));
}

/**
 * Ordinals of the shards that have one of the names.
 * @throws RangeError for a name that none of them has, and when none is left
 */
export function skippedShards(locations: readonly string[], names: ReadonlySet<string>): number[] {
  const has = locations.map(shardName);
  const unknown = [...names].find((name) => !has.includes(name));
  if (unknown !== undefined)
    throw new RangeError(
      `Pipeline option ${optionName('skipShards')}: no shard of ${has.length} is named "${unknown}"; expected a name such as "${has[0]}"`,
    );
  const skipped = has.flatMap((name, i) => (names.has(name) ? [i] : []));
  if (skipped.length === has.length)
    throw new RangeError(`Pipeline option ${optionName('skipShards')}: no shard of ${has.length} is left to read; leave one`);
  return skipped;
}
