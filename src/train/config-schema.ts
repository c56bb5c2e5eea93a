/** The schema of `config.json`: the options of the trainer, and of the method, optimizer and recipe that it is to run. */
import { z } from 'zod';
import type { Kinds } from '../common/kinds.js';
import type { Options } from '../common/options.js';
import { quoted } from '../common/quoted.js';
import { type MethodInput, methodOptionsSchema } from '../model/index.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import { optionName } from './flags.js';
import { optimizerSchema } from './optimizer/index.js';
import { leavingShape, trainingShape } from './options.js';
import { OptionsError } from './options-error.js';
import { scheduleSchema } from './schedule.js';

export const configSchema = z.strictObject({
  ...trainingShape,
  method: methodOptionsSchema,
  optimizer: optimizerSchema.prefault({ name: 'sgd' }),
  recipe: recipeOptionsSchema,
  ...leavingShape,
});

/** Options of which there are several kinds. */
export const KINDS: Readonly<Record<string, Kinds>> = {
  method: methodOptionsSchema,
  optimizer: optimizerSchema,
  recipe: recipeOptionsSchema,
  schedule: scheduleSchema,
};

/** Every option of a run, resolved: what `config.json` holds. */
export type TrainConfig = Readonly<z.output<typeof configSchema>>;
type FullInput = z.input<typeof configSchema>;

/** What a caller may give: everything but `shards` has a default in the preset. */
export type ConfigInput = Partial<Omit<FullInput, 'method' | 'optimizer' | 'recipe' | 'knn'>> & {
  /** Of the preset's method, whose name need not be repeated. */
  readonly method?: Partial<MethodInput>;
  readonly optimizer?: Partial<FullInput['optimizer']>;
  readonly recipe?: Partial<FullInput['recipe']>;
  readonly knn?: Partial<FullInput['knn']>;
};

/**
 * @param whereOf an option is, by its path, where that is not what the caller gives: ` in FILE`
 * @throws OptionsError that names each bad option, with its value
 */
export function parseConfig(input: Options, whereOf: (path: readonly PropertyKey[]) => string = () => ''): TrainConfig {
  const { success, data, error } = configSchema.safeParse(input);
  if (success) return data;
  const problems = new Map<string, string[]>();
  for (const { path, message } of error.issues) {
    const value = path.reduce<unknown>((outer, key) => Reflect.get(Object(outer) as object, key), input);
    const where = whereOf(path);
    problems.set(where, [...(problems.get(where) ?? []), `${optionName(path.join('.'))} = ${quoted(value)}: ${message}`]);
  }
  throw new OptionsError([...problems].map(([where, found]) => `Unusable options${where}: ${found.join('; ')}`).join('. '));
}
