/** What the options of a run name, looked for before an engine starts: an engine takes its time, and the first evaluation comes late. */
import { createHash } from 'node:crypto';
import { counted } from '../common/counted.js';
import { skippedNames } from '../pipeline/plan/skip.js';
import { listShards } from '../pipeline/source/index.js';
import type { Beginning } from './beginning.js';
import type { ClassNamesFact } from './class-names.js';
import type { TrainConfig } from './config-schema.js';
import { asOptionsError, waitingFor } from './data-options.js';
import { optionName } from './flags.js';
import type { TrainHooks } from './hooks.js';
import { OptionsError } from './options-error.js';
import { explainSpecs, type SpecOption } from './shard-specs.js';

/** A list of names, in short. */
interface Names {
  readonly count: number;
  readonly sha256: string;
}

/** What options name, and what is to be the same on every rank. */
export interface FoundData {
  readonly shards?: Names;
  readonly valShards?: Names;
  readonly classesFile?: Names;
}

interface Listening {
  readonly hooks: TrainHooks;
  readonly signal: AbortSignal | undefined;
}

/** @throws OptionsError for shards that cannot be listed */
export async function findData(beginning: Beginning, classNames: ClassNamesFact | undefined, listening: Listening): Promise<FoundData> {
  const [shards, valShards] = [await listed(beginning, 'shards', listening), await listed(beginning, 'valShards', listening)];
  return { ...(shards && { shards }), ...(valShards && { valShards }), ...(classNames && { classesFile: classNames }) };
}

async function listed(
  { path, config, specs, past }: Beginning,
  option: SpecOption,
  { hooks, signal }: Listening,
): Promise<Names | undefined> {
  const named = config[option];
  if (!named) return undefined;
  const about = option === 'valShards' ? optionName(option) : past && `${path} cannot go on`;
  const mayBeMissing = option === 'shards' ? skippedNames(config.skipShards ?? []) : new Set<string>();
  hooks.onWork?.(waitingFor(named));
  const names = await listShards(named, { cwd: specs.folders[option], mayBeMissing, ...(signal && { signal }) })
    .catch(explainSpecs(path, specs, option))
    .catch((error: unknown) => asOptionsError(error, about));
  return { count: names.length, sha256: createHash('sha256').update(names.join('\n')).digest('hex') };
}

/** @throws OptionsError, on all ranks, where one finds something else than rank 0 */
export function assertSameData([first, ...others]: readonly FoundData[], config: TrainConfig): void {
  for (const [i, other] of others.entries())
    for (const [option, what] of [
      ['shards', 'shard'],
      ['valShards', 'shard'],
      ['classesFile', 'name'],
    ] as const) {
      const [mine, its] = [first?.[option], other[option]];
      if (mine?.sha256 === its?.sha256) continue;
      const [counts, count] = [its, mine].map((names) => counted(names?.count ?? 0, what)) as [string, string];
      const differ = counts === count ? `other ${what}s than rank 0` : `${counts}, and rank 0 ${count},`;
      throw new OptionsError(
        `rank ${i + 1} finds ${differ} in ${optionName(option)} ${[config[option] ?? []].flat().join(' ')}: ` +
          'expected the same names in the same order on every machine',
      );
    }
}
