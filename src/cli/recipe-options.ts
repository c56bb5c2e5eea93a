/** `--recipe` and its sizes, of the commands that make views. */
import type { Command } from 'commander';
import { given } from '../common/options.js';
import { kindsWith } from '../common/kinds.js';
import { oneOf } from '../common/one-of.js';
import { globalSize, makeRecipe, patchSize, RECIPE_NAMES, recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import type { Recipe } from '../pipeline/index.js';
import { numberText } from './number.js';
import { UsageError } from './usage-error.js';

/** For the schema of a command that has the options. */
export const recipeShape = {
  recipe: oneOf(RECIPE_NAMES),
  globalSize: numberText(globalSize, '--global-size 224'),
  patchSize: numberText(patchSize, '--patch-size 64').optional(),
};

export function addRecipeOptions(command: Command): Command {
  return command
    .option('--recipe <name>', RECIPE_NAMES.join(', '), 'detco')
    .option('--global-size <pixels>', 'side of a global view', '224')
    .option('--patch-size <pixels>', `side of a patch, of ${kindsWith(recipeOptionsSchema, 'patchSize').join(', ')} (default: "64")`);
}

/** @throws UsageError for a size of what the recipe does not make */
export function chosenRecipe({
  recipe: name,
  ...sizes
}: {
  readonly recipe: string;
  readonly globalSize: number;
  readonly patchSize?: number | undefined;
}): Recipe {
  const owners = kindsWith(recipeOptionsSchema, 'patchSize');
  if (sizes.patchSize !== undefined && !owners.includes(name))
    throw new UsageError(
      `--patch-size ${sizes.patchSize} with --recipe ${name}, which has no patches: leave it out, or use --recipe ${owners.join(' or ')}`,
    );
  return makeRecipe(recipeOptionsSchema.parse({ name, ...given(sizes, ['globalSize', 'patchSize']) }));
}
