/** `--classes-file`: the names that labels may be. Their order numbers the classes of a run, so it goes on with the same list alone. */
import { createHash } from 'node:crypto';
import { counted } from '../common/counted.js';
import { readClassNames } from '../pipeline/shard/class-names.js';
import type { TrainConfig } from './config-schema.js';
import { asOptionsError } from './data-options.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';

/** What `config.json` holds of them. */
export interface ClassNamesFact {
  readonly count: number;
  /** Of the names, each with a line feed: that of the file, if it was written so. */
  readonly sha256: string;
}

export interface ClassNames {
  readonly names: readonly string[];
  readonly fact: ClassNamesFact;
}

/**
 * The names of the classes, where labels are such.
 *
 * @param begun what a run that goes on began with; one of before there was this fact has none
 * @throws OptionsError for a file that is no list of names, and for another list than the run began with
 */
export async function classNamesOf(
  { classesFile }: Pick<TrainConfig, 'classesFile'>,
  begun?: ClassNamesFact,
): Promise<ClassNames | undefined> {
  if (classesFile === undefined) return undefined;
  const option = optionName('classesFile');
  const names = await readClassNames(classesFile).catch((error: unknown) => asOptionsError(error, option));
  const sha256 = createHash('sha256')
    .update(names.map((name) => `${name}\n`).join(''))
    .digest('hex');
  if (begun !== undefined && sha256 !== begun.sha256)
    throw new OptionsError(
      `${option} ${classesFile} is not the list that the run began with, and its labels would be other classes: it has ` +
        `${counted(names.length, 'class')} of SHA-256 ${sha256}, and had ${begun.count} of ${begun.sha256}; ` +
        `bring it back, give ${option} where the list of then lies, or start another run`,
    );
  return { names, fact: { count: names.length, sha256 } };
}
