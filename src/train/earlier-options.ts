/**
 * Options as earlier versions had them, whose runs go on: the first format had one method, which it did not name, and one optimizer; later
 * versions recorded `patchSize` and `randAugment` with every recipe.
 */
import { given, isOptions, type Options } from '../common/options.js';
import { optionsByKind } from '../common/kinds.js';
import { recipeOptionsSchema } from '../pipeline/augment/recipe-options.js';
import type { TrainConfig } from './config-schema.js';
import { FIRST_METHOD } from './format.js';
import { OptionsError } from './options-error.js';

/**
 * The options of a `config.json`, of an earlier version or of this one, as this one has them.
 *
 * @param where they are, behind a name: ` in FILE`
 */
export function inThisVersion(saved: Options, where: string): Options {
  const options = withoutUnused(withOptimizer(saved, where), saved);
  const { method, optimizer } = options;
  return {
    ...options,
    ...(isOptions(method) && { method: { name: FIRST_METHOD, ...method } }),
    ...(isOptions(optimizer) && { optimizer: { name: 'sgd', ...optimizer } }),
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

/** Options without the unused ones of their run, which its config file may have as well. */
export function withoutUnused(options: Options, saved: Options): Options {
  const { recipe } = options;
  if (!isOptions(recipe)) return options;
  const unused = new Set(Object.keys(unusedOptions(saved)));
  return { ...options, recipe: Object.fromEntries(Object.entries(recipe).filter(([name]) => !unused.has(name))) };
}

/** Options with the unused ones of their run: they make nothing, but the digests of its checkpoints are of them too. */
export function withUnused(config: TrainConfig, saved: Options): TrainConfig {
  return { ...config, recipe: { ...config.recipe, ...unusedOptions(saved) } as TrainConfig['recipe'] };
}

/**
 * Options with those of the first format for its optimizer where they are now; of a config file, too.
 *
 * @param where they are, behind a name: ` in FILE`
 * @throws OptionsError for those of the first format beside an `optimizer`, which it did not have
 */
export function withOptimizer(options: Options, where: string): Options {
  const { sgdMomentum, weightDecay, ...rest } = options;
  const names = Object.keys(given(options, ['sgdMomentum', 'weightDecay']));
  if (names.length === 0) return options;
  const optimizer = { ...given({ momentum: sgdMomentum }, ['momentum']), ...given({ weightDecay }, ['weightDecay']) };
  if (rest['optimizer'] === undefined) return { ...rest, optimizer };
  throw new OptionsError(
    `${names.join(' and ')} and optimizer are both given${where}: ` +
      `expected optimizer alone, with ${Object.keys(optimizer).join(' and ')} inside, as in optimizer: { name: sgd, momentum: 0.9, weightDecay: 0.0001 }`,
  );
}

/** Options as the first format had them, for digests that were computed of them. Those that it could not have are left as they are. */
export function inFirstFormat({ lrScaling, warmupEpochs, optimizer, method, ...rest }: TrainConfig): Options {
  const { name, ...options } = method;
  return {
    ...rest,
    ...(lrScaling !== 'linear' && { lrScaling }),
    ...(warmupEpochs > 0 && { warmupEpochs }),
    method: name === FIRST_METHOD ? options : method,
    ...(optimizer.name === 'sgd' ? { sgdMomentum: optimizer.momentum, weightDecay: optimizer.weightDecay } : { optimizer }),
  };
}
