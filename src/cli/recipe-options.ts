/** `--recipe` and its options, of the commands that make views. */
import type { Command } from 'commander';
import { z } from 'zod';
import { given } from '../common/options.js';
import { kindsWith } from '../common/kinds.js';
import { oneOf } from '../common/one-of.js';
import {
  crops,
  globalSize,
  localSize,
  makeRecipe,
  patchSize,
  RECIPE_NAMES,
  recipeOptionsSchema,
  strength,
} from '../pipeline/augment/recipe-options.js';
import type { Recipe } from '../pipeline/index.js';
import { numberText } from './number.js';
import { UsageError } from './usage-error.js';

/** For the schema of a command that has the options. */
export const recipeShape = {
  recipe: oneOf(RECIPE_NAMES),
  globalSize: numberText(globalSize, '--global-size 224'),
  patchSize: numberText(patchSize, '--patch-size 64').optional(),
  localSize: numberText(localSize, '--local-size 96').optional(),
  crops: numberText(crops, '--crops 6').optional(),
  strength: numberText(strength, '--strength 0.5').optional(),
  randAugment: z.boolean(),
};

const ownersOf = (option: string): string[] => kindsWith(recipeOptionsSchema, option);

export function addRecipeOptions(command: Command): Command {
  return command
    .option('--recipe <name>', RECIPE_NAMES.join(', '), 'detco')
    .option('--global-size <pixels>', 'side of a global view', '224')
    .option('--patch-size <pixels>', `side of a patch, of ${ownersOf('patchSize').join(', ')} (default: "64")`)
    .option('--local-size <pixels>', `side of a local crop, of ${ownersOf('localSize').join(', ')} (default: "96")`)
    .option('--crops <n>', `local crops of an image, of ${ownersOf('crops').join(', ')} (default: "6")`)
    .option('--no-rand-augment', `without RandAugment, of ${ownersOf('randAugment').join(', ')}`)
    .option('--strength <x>', `of the colour distortion, of ${ownersOf('strength').join(', ')} (default: "1")`);
}

interface RecipeChoice {
  readonly recipe: string;
  readonly globalSize: number;
  readonly patchSize?: number | undefined;
  readonly localSize?: number | undefined;
  readonly crops?: number | undefined;
  readonly strength?: number | undefined;
  readonly randAugment: boolean;
}

/** @throws UsageError for an option that the recipe does not have */
export function chosenRecipe({ recipe: name, randAugment, ...numbers }: RecipeChoice): Recipe {
  const refuse = (option: string, flag: string, lacks: string): void => {
    const owners = ownersOf(option);
    if (owners.includes(name)) return;
    throw new UsageError(`${flag} with --recipe ${name}, which has no ${lacks}: leave it out, or use --recipe ${owners.join(' or ')}`);
  };
  if (numbers.patchSize !== undefined) refuse('patchSize', `--patch-size ${numbers.patchSize}`, 'patches');
  if (numbers.localSize !== undefined) refuse('localSize', `--local-size ${numbers.localSize}`, 'local crops');
  if (numbers.crops !== undefined) refuse('crops', `--crops ${numbers.crops}`, 'local crops');
  if (numbers.strength !== undefined) refuse('strength', `--strength ${numbers.strength}`, 'strength of its colours');
  if (!randAugment) refuse('randAugment', '--no-rand-augment', 'RandAugment');
  const options = given(numbers, ['globalSize', 'patchSize', 'localSize', 'crops', 'strength']);
  return makeRecipe(recipeOptionsSchema.parse({ name, ...options, ...(!randAugment && { randAugment }) }));
}
