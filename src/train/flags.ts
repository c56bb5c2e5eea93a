/** The options of a run that `detco train` has a flag for, as their schemas say: what its help lists, and what messages call them. */
import type { z } from 'zod';
import { type OptionFlag, optionFlags } from '../common/option-flags.js';
import { knnSchema } from '../eval/options.js';
import { backboneOptions, queueOptions } from '../model/methods/options.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import { leavingShape, trainingShape } from './options.js';

export interface Flag extends OptionFlag {
  /** Name in a config, with a dot before what is nested. */
  readonly option: string;
  readonly schema: z.ZodType;
}

function flagsOf(shape: Readonly<Record<string, z.ZodType>>, prefix = ''): Flag[] {
  return Object.entries(shape).flatMap(([name, schema]) => {
    const flag = optionFlags.get(schema);
    return flag === undefined ? [] : [{ option: `${prefix}${name}`, schema, ...flag }];
  });
}

/** Of all recipes; those that several have are the same. */
const recipeShape: Readonly<Record<string, z.ZodType>> = Object.assign({}, ...recipeOptionsSchema.options.map(({ shape }) => shape));

/**
 * In the order of the help. Options of one method alone, of an optimizer or of a schedule have none: the schemas of methods and optimizers
 * load a tensor library.
 */
export const FLAGS: readonly Flag[] = [
  ...flagsOf(trainingShape),
  ...flagsOf({ ...backboneOptions, ...queueOptions }, 'method.'),
  ...flagsOf(recipeShape, 'recipe.'),
  ...flagsOf(leavingShape),
  ...flagsOf(knnSchema.shape, 'knn.'),
];

/** `--batch` of `--batch <n>` */
export function flagName({ flag }: Pick<Flag, 'flag'>): string {
  return flag.split(' ')[0] ?? flag;
}

/** Flags whose names are not those of their options, and of other commands besides. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ...FLAGS.map((one) => [one.option, flagName(one)] as const).filter(([option, flag]) => flag !== `--${option}`),
  // The pipeline's name of it.
  ['batchSize', '--batch'],
  ['classesFile', '--classes-file'],
  ['imageField', '--image-field'],
  ['labelField', '--label-field'],
]);

/** An option as messages name it: whoever reads one has written its name in a program or a file, or a flag: `batchSize (--batch)`. */
export function optionName(name: string): string {
  const flag = OTHER_NAMES.get(name);
  return flag === undefined ? name : `${name} (${flag})`;
}
