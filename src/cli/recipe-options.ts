/** `--recipe` and its sizes, of the commands that make views. */
import { z } from 'zod';
import { MOST_GLOBAL_SIDE, MOST_PATCH_SIDE } from '../pipeline/augment/recipe.js';
import { whole } from './number.js';

export const RECIPE_NAMES = ['detco', 'mocoV2', 'mocoV1', 'simclr'] as const;

const WORDS = `${RECIPE_NAMES.slice(0, -1).join(', ')} or ${RECIPE_NAMES.at(-1)}`;

export const recipeOptions = {
  recipe: z.enum(RECIPE_NAMES, { error: `expected ${WORDS}` }),
  globalSize: whole(1, MOST_GLOBAL_SIDE, '--global-size 224'),
  patchSize: whole(1, MOST_PATCH_SIDE, '--patch-size 64'),
};
