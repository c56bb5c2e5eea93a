/** The options of the built-in recipes of training, as a file or a flag has them: each recipe has its own and no others. */
import { z } from 'zod';
import { kinds } from '../../common/kinds.js';
import type { Recipe } from './recipe.js';
import { GLOBAL_SIZE, LOCAL_CROPS, LOCAL_SIZE, MOST_CROPS, MOST_GLOBAL_SIDE, MOST_PATCH_SIDE, PATCH_SIZE, recipes } from './recipes.js';

/** Side of a global view, pixels. */
export const globalSize = z.int().min(1).max(MOST_GLOBAL_SIDE).default(GLOBAL_SIZE);
/** Side of a patch, pixels. */
export const patchSize = z.int().min(1).max(MOST_PATCH_SIDE).default(PATCH_SIZE);
/** Of SimCLR's colour distortion: up to a hue of 0.5, the whole circle. */
export const strength = z.number().min(0).max(2.5).default(1);
/** Side of a local crop, pixels. */
export const localSize = z.int().min(1).max(MOST_GLOBAL_SIDE).default(LOCAL_SIZE);
/** Local crops of an image. */
export const crops = z.int().min(1).max(MOST_CROPS).default(LOCAL_CROPS);

const schemas = [
  z.strictObject({ name: z.literal('detco'), globalSize, patchSize, randAugment: z.boolean('expected true or false').default(true) }),
  z.strictObject({ name: z.literal('mocoV2'), globalSize }),
  z.strictObject({ name: z.literal('mocoV1'), globalSize }),
  z.strictObject({ name: z.literal('simclr'), globalSize, strength }),
  z.strictObject({ name: z.literal('byol'), globalSize }),
  z.strictObject({ name: z.literal('rotation'), globalSize }),
  z.strictObject({ name: z.literal('jigsaw'), globalSize }),
  z.strictObject({ name: z.literal('insloc'), globalSize }),
  z.strictObject({ name: z.literal('pirl'), globalSize, patchSize }),
  z.strictObject({ name: z.literal('swav'), globalSize, localSize, crops }),
  z.strictObject({ name: z.literal('colorization'), globalSize }),
  z.strictObject({ name: z.literal('inpainting'), globalSize }),
] as const;

export const recipeOptionsSchema = kinds('recipe', 'name', schemas);
export type RecipeOptions = Readonly<z.output<typeof recipeOptionsSchema>>;

export const RECIPE_NAMES = schemas.map(({ shape }) => shape.name.value);

export function makeRecipe({ name, ...options }: RecipeOptions): Recipe {
  return recipes[name](options);
}
