/** What `config.json` of a run holds beyond its options. */
import type { Options } from '../common/options.js';
import type { ClassNamesFact } from './class-names.js';
import type { InitFact } from './init.js';
import type { SpecFacts } from './shard-specs.js';

export interface RunFacts extends SpecFacts {
  readonly engineDescription: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Absent where the backbone started at random. */
  readonly initWeights?: InitFact;
  /** Absent where labels are numbers. */
  readonly classNames?: ClassNamesFact;
}

const NAMES: Readonly<Record<keyof RunFacts, true>> = {
  folders: true,
  loginLeftOut: true,
  engineDescription: true,
  versions: true,
  initWeights: true,
  classNames: true,
};

/** The options of a `config.json` alone. */
export function withoutFacts(config: Options): Options {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !Object.hasOwn(NAMES, name)));
}
