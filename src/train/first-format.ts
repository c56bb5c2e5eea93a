/** What earlier versions left: detco 0.1 had one method, which it did not name, and one optimizer. Their runs go on. */
import { given, isOptions, type Options } from '../common/options.js';
import { optionsByKind } from '../common/kinds.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import type { TrainConfig } from './config-schema.js';
import { FIRST_METHOD } from './format.js';

/** The options of a `config.json`, of an earlier version or of this one, as this one has them. */
export function inThisFormat(saved: Options): Options {
  const options = withOptimizer(saved);
  const { method, optimizer, recipe } = options;
  const unused = new Set(Object.keys(unusedOptions(saved)));
  return {
    ...options,
    ...(isOptions(method) && { method: { name: FIRST_METHOD, ...method } }),
    ...(isOptions(optimizer) && { optimizer: { name: 'sgd', ...optimizer } }),
    ...(isOptions(recipe) && {
      recipe: given(
        recipe,
        Object.keys(recipe).filter((name) => !unused.has(name)),
      ),
    }),
  };
}

/** Options that were recorded with every recipe, although one alone has them. */
function unusedOptions({ recipe }: Options): Options {
  if (!isOptions(recipe)) return {};
  const known = optionsByKind(recipeOptionsSchema).get(String(recipe['name'])) ?? [];
  return given(
    recipe,
    ['patchSize', 'randAugment'].filter((name) => !known.includes(name)),
  );
}

/** Options with the unused ones of their run: they make nothing, but the digests of its checkpoints are of them too. */
export function withUnused(config: TrainConfig, saved: Options): TrainConfig {
  return { ...config, recipe: { ...config.recipe, ...unusedOptions(saved) } as TrainConfig['recipe'] };
}

/** Options with those of 0.1 for its optimizer where they are now; of a config file, too. */
export function withOptimizer(options: Options): Options {
  const { sgdMomentum: momentum, weightDecay, ...rest } = options;
  if (momentum === undefined && weightDecay === undefined) return options;
  const given = { ...(momentum !== undefined && { momentum }), ...(weightDecay !== undefined && { weightDecay }) };
  return { ...rest, optimizer: { ...given, ...(isOptions(rest['optimizer']) && rest['optimizer']) } };
}

/** Options as 0.1 had them, for what it computed of them. Those that it could not have are left as they are. */
export function inFirstFormat({ lrScaling, warmupEpochs, optimizer, method, ...rest }: Omit<TrainConfig, 'precision'>): Options {
  const { name, ...options } = method;
  return {
    ...rest,
    ...(lrScaling !== 'linear' && { lrScaling }),
    ...(warmupEpochs > 0 && { warmupEpochs }),
    method: name === FIRST_METHOD ? options : method,
    ...(optimizer.name === 'sgd' ? { sgdMomentum: optimizer.momentum, weightDecay: optimizer.weightDecay } : { optimizer }),
  };
}
