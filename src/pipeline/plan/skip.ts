/**
 * Shards that are left out without leaving the plan: the others keep their place in the order, and the lanes that would read them are
 * shorter. A run can so go on without a shard that cannot be read.
 */
import { expandBraces } from '../source/braces.js';
import { PipelineOptionError } from '../option-error.js';
import { shardName } from '../source/identity.js';

/** The names that `specs` give: of shards wherever they lie, or of locations; braces stand for several. */
export function skippedNames(specs: string | readonly string[]): ReadonlySet<string> {
  return new Set([specs].flat().flatMap((spec) => expandBraces(spec).map(shardName)));
}

/**
 * Ordinals of the shards that have one of the names.
 * @throws RangeError for a name that none of them has, and when none is left
 */
export function skippedShards(locations: readonly string[], names: ReadonlySet<string>): ReadonlySet<number> {
  const has = locations.map(shardName);
  const known = new Set(has);
  const unknown = [...names].find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new PipelineOptionError(
      'skipShards',
      `no shard of ${has.length} is named "${unknown}"; expected a name such as "${has[0]}". A pattern does not match a shard that is gone: give the shards as a range that names it, such as "train-{000..003}.tar"`,
    );
  const skipped = new Set(has.flatMap((name, i) => (names.has(name) ? [i] : [])));
  if (skipped.size === has.length) throw new PipelineOptionError('skipShards', `no shard of ${has.length} is left to read; leave one`);
  return skipped;
}
