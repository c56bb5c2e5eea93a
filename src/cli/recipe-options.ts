/** `--recipe` and its sizes, of the commands that make views. */
import { MOST_GLOBAL_SIDE, MOST_PATCH_SIDE } from '../pipeline/augment/recipe.js';
import { oneOf } from '../common/one-of.js';
import { whole } from './number.js';

export const RECIPE_NAMES = ['detco', 'mocoV2', 'mocoV1', 'simclr', 'byol'] as const;

export const recipeOptions = {
  recipe: oneOf(RECIPE_NAMES),
  globalSize: whole(1, MOST_GLOBAL_SIDE, '--global-size 224'),
  patchSize: whole(1, MOST_PATCH_SIDE, '--patch-size 64'),
};
