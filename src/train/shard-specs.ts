/** By what a run finds its shards again: the specifications of `config.json`, which hold no login, and the folders they start from. */
import { SourceError } from '../pipeline/index.js';
import { identityOf, shardName } from '../pipeline/source/identity.js';
import type { ConfigInput, TrainConfig } from './config-schema.js';

/** Options that name shards. */
export type SpecOption = 'shards' | 'valShards';

/** What `config.json` holds besides the specifications themselves. */
export interface SpecFacts {
  /** Folders that relative paths start from: where the run began, or where a resume named them. */
  readonly folders: Readonly<Record<SpecOption, string>>;
  /** Whether they had a login or a signature. */
  readonly loginLeftOut: Readonly<Record<SpecOption, boolean>>;
}

export interface ShardSpecs extends SpecFacts {
  /** Which are taken from `config.json`, since a resume was not told otherwise. */
  readonly kept: Readonly<Record<SpecOption, boolean>>;
}

/**
 * @param config the options with logins
 * @param given what the caller asks for this time
 * @param saved of a run that goes on, from its `config.json`
 */
export function shardSpecs(config: TrainConfig, given: readonly ConfigInput[], saved?: Partial<SpecFacts>): ShardSpecs {
  const both = <Value>(of: (option: SpecOption) => Value): Record<SpecOption, Value> => ({
    shards: of('shards'),
    valShards: of('valShards'),
  });
  const kept = both((option) => saved !== undefined && given.every((layer) => layer[option] === undefined));
  return {
    kept,
    folders: both((option) => (kept[option] ? saved?.folders?.[option] : undefined) ?? process.cwd()),
    loginLeftOut: both((option) =>
      kept[option] ? saved?.loginLeftOut?.[option] === true : (config[option] ?? []).some((spec) => identityOf(spec) !== spec),
    ),
  };
}

/** What may be written down of the options. */
export function withoutLogins({ shards, valShards, skipShards, ...rest }: TrainConfig): TrainConfig {
  return {
    ...rest,
    shards: shards.map(identityOf),
    ...(valShards && { valShards: valShards.map(identityOf) }),
    ...(skipShards && { skipShards: skipShards.map(shardName) }),
  };
}

/** Adds to the failure of a resume by what its shards are looked for, and how to say otherwise. */
export function explainSpecs(run: string, { kept, folders, loginLeftOut }: ShardSpecs, option: SpecOption): (error: unknown) => never {
  return (error) => {
    if (!kept[option] || !(error instanceof SourceError) || error.kind === undefined || error.kind === 'malformed') throw error;
    const flag = option === 'shards' ? '--shards' : '--val-shards';
    const advice = loginLeftOut[option]
      ? `${run} keeps neither logins nor signatures: give ${flag} again with the login`
      : `${run} looks for them from ${folders[option]}: if they lie elsewhere by now, name their place with ${flag}`;
    const { location, kind, message } = error;
    throw new SourceError(location, `${message.slice(location.length + 2)} (${advice})`, { kind, cause: error });
  };
}
