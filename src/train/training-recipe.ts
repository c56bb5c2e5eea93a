/** The recipe of a run's training views, and whether it makes those that the method takes. */
import { methodKind } from '../model/index.js';
import { makeRecipe, RECIPE_NAMES, recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import type { Recipe, View } from '../pipeline/index.js';
import type { TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';

type Chosen = Pick<TrainConfig, 'recipe' | 'method'>;

/**
 * The recipe of the training views. Two methods that take as many whole images may call them otherwise: a recipe of either serves both,
 * view by view in their order.
 */
export function trainingRecipe({ recipe: options, method }: Chosen): Recipe {
  const recipe = makeRecipe(options);
  const needed = methodKind(method.name).views(method);
  // What no loss reads is not made.
  if (needed.every((view) => view in recipe.views))
    return { ...recipe, views: Object.fromEntries(Object.entries(recipe.views).filter(([view]) => needed.includes(view))) };
  const made = Object.values(recipe.views);
  if (made.length !== needed.length || made.some(({ kind }) => kind !== 'image')) return recipe;
  return { name: options.name, views: Object.fromEntries(needed.map((view, i) => [view, made[i] as View])) };
}

/** @throws OptionsError for a recipe that does not make the views of the method */
export function checkViews(config: Chosen): void {
  const { recipe, method } = config;
  const needed = methodKind(method.name).views(method);
  const lacking = (chosen: Chosen) => {
    const { views } = trainingRecipe(chosen);
    return needed.filter((view) => !(view in views));
  };
  const missing = lacking(config);
  if (missing.length === 0) return;
  const fitting = RECIPE_NAMES.filter((name) => lacking({ method, recipe: recipeOptionsSchema.parse({ name }) }).length === 0);
  throw new OptionsError(
    `method ${method.name} needs the views ${missing.join(', ')}, which recipe "${recipe.name}" does not make: use recipe.name ${fitting.join(' or ')}`,
  );
}
