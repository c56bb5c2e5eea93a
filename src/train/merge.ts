/** Layers of options as one: preset, config file, what the caller gives. */
import { optionsByKind } from '../common/kinds.js';
import { given, isOptions, type Options } from '../common/options.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';

/** Options made of options: a layer changes the ones it names and leaves the others. */
export const NESTED: ReadonlySet<string> = new Set(['method', 'optimizer', 'recipe', 'knn']);

/** The options of all layers; of one that several have, the last. */
export function merge(...layers: readonly Options[]): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const key of new Set(layers.flatMap((layer) => Object.keys(layer)))) {
    const values = layers.map((layer) => layer[key]).filter((value) => value !== undefined);
    if (values.length > 0) merged[key] = NESTED.has(key) ? mergeInside(key, values) : values.at(-1);
  }
  return merged;
}

function mergeInside(key: string, values: readonly unknown[]): unknown {
  const layers = values.filter(isOptions);
  // What holds no options is refused by the schema, which quotes it.
  if (layers.length < values.length) return values.findLast((value) => !isOptions(value));
  // A layer that names no kind is of the one below it.
  const names = layers.map((_layer, i) => layers.slice(0, i + 1).findLast(({ name }) => name !== undefined)?.['name']);
  const chosen = names.at(-1);
  return Object.assign({}, ...layers.map((layer, i) => (names[i] === chosen ? layer : ofAnother(key, layer, chosen))));
}

/** What stays of a layer that is of another kind than the one that is chosen. */
function ofAnother(key: string, layer: Options, chosen: unknown): Options {
  // Momentum and decay suit one optimizer; sizes are of the run, whatever is drawn at them.
  return key === 'recipe' ? given(layer, optionsByKind(recipeOptionsSchema).get(String(chosen)) ?? []) : {};
}
