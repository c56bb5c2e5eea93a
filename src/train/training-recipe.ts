/** The recipe of a run's training views, and whether it makes those that the method takes. */
import { methodKind, type ViewKind } from '../model/index.js';
import { makeRecipe, RECIPE_NAMES, recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import { pictureSide } from '../pipeline/augment/recipe.js';
import type { Recipe, View } from '../pipeline/index.js';
import type { TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';

type Chosen = Pick<TrainConfig, 'recipe' | 'method'>;

/** The recipe of the training views: those that the method takes, by its names for them, as far as the recipe makes them. */
export function trainingRecipe({ recipe: options, method }: Chosen): Recipe {
  const recipe = makeRecipe(options);
  return { ...recipe, views: taken(recipe.views, methodKind(method.name).views(method)) };
}

/**
 * A recipe that has other names for what is needed gives its views of each kind in their order: two whole images are two whole images.
 * What no loss reads is not made.
 */
function taken(made: Recipe['views'], needed: Readonly<Record<string, ViewKind>>): Record<string, View> {
  const wanted = Object.entries(needed);
  if (wanted.every(([name, kind]) => kindOf(made[name]) === kind))
    return Object.fromEntries(Object.entries(made).filter(([name]) => name in needed));
  const left = Object.values(made);
  return Object.fromEntries(
    wanted.flatMap(([name, kind]) => {
      const at = left.findIndex((view) => kindOf(view) === kind);
      return at === -1 ? [] : left.splice(at, 1).map((view) => [name, view]);
    }),
  );
}

/** An image in CIELAB is no image to other methods, nor is one with masks a whole one. */
function kindOf(view: View | undefined): ViewKind | undefined {
  if (view?.kind !== 'image') return view?.kind;
  const last = view.operations.at(-1)?.op;
  return last === 'lab' ? 'lab' : last === 'mask' ? 'masked' : 'image';
}

/** @throws OptionsError for a recipe that does not make the views of the method, RangeError for one that makes them of sizes that it cannot take */
export function checkViews(config: Chosen): void {
  const { recipe, method } = config;
  const needed = Object.keys(methodKind(method.name).views(method));
  const lacking = (chosen: Chosen) => {
    const { views } = trainingRecipe(chosen);
    return needed.filter((view) => !(view in views));
  };
  const missing = lacking(config);
  if (missing.length === 0) return checkSides(config);
  const fitting = RECIPE_NAMES.filter((name) => lacking({ method, recipe: recipeOptionsSchema.parse({ name }) }).length === 0);
  throw new OptionsError(
    `method ${method.name} needs the views ${missing.join(', ')}, which recipe "${recipe.name}" does not make: use recipe.name ${fitting.join(' or ')}`,
  );
}

function checkSides(config: Chosen): void {
  const { method } = config;
  const views = Object.entries(trainingRecipe(config).views);
  methodKind(method.name).checkSides?.(method, Object.fromEntries(views.map(([name, view]) => [name, pictureSide(view)])));
}
