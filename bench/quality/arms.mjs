/** What is compared: methods with the same network, data, views of the same size, batch and updates or seconds. */
import { METHOD_NAMES, METHOD_PRESETS, methodKind } from '../../dist/model/index.js';
import { recipeOptionsSchema } from '../../dist/pipeline/augment/recipe-options.js';
import { resolveConfig } from '../../dist/train/index.js';

/** Parts of DetCo, and what they are compared to. */
const CLAIMED = {
  untrained: { title: 'untrained', preset: 'tiny-moco', trained: false },
  moco: { title: 'MoCo v2', preset: 'tiny-moco' },
  'multi-level': { title: 'multi-level only', preset: 'tiny', method: { terms: ['gg'] } },
  'global-local': { title: 'global-local only', preset: 'tiny', method: { levels: { res5: 1 } } },
  detco: { title: 'DetCo', preset: 'tiny' },
};

/** How papers write names that are not words. */
const TITLES = {
  simclr: 'SimCLR',
  byol: 'BYOL',
  densecl: 'DenseCL',
  swav: 'SwAV',
  instdis: 'InstDis',
  pirl: 'PIRL',
  insloc: 'InsLoc',
  'patch-reid': 'PatchReID',
};

const presetOf = (method) =>
  Object.entries(METHOD_PRESETS).find(([preset, { method: of }]) => of.name === method && preset.startsWith('tiny'))[0];

/** By name, in the order of the report: all methods there are. */
export const ARMS = {
  ...CLAIMED,
  ...Object.fromEntries(
    METHOD_NAMES.filter((name) => !Object.hasOwn(CLAIMED, name)).map((name) => [
      name,
      { title: TITLES[name] ?? name.replaceAll('-', ' '), preset: presetOf(name) },
    ]),
  ),
};

/** Others are compared to it. */
export const BASELINE = 'moco';

/** What makes a network, of which the presets of some methods have another. */
const NETWORK = ['arch', 'width', 'stem'];

/** They predict the pixels of each cell of the last map, and take views of whole cells alone. */
const OF_WHOLE_CELLS = new Set(['colorization', 'inpainting']);
/** Side of such a cell with the network that all have, pixels. */
const CELL = 32;

/** Side of an arm's whole images, pixels: that of all, or of those that need it the nearest multiple of a cell. */
export function sideOf(name, { globalSize }) {
  return OF_WHOLE_CELLS.has(name) ? CELL * Math.max(1, Math.round(globalSize / CELL)) : globalSize;
}

/** Warm-up, as a share of the updates. */
const WARM_UP = 0.05;

/**
 * The options of a run of one arm, as `detco train` would have them.
 *
 * @param data.indexDir of the shards, for methods that number their images
 */
export function configOf(name, settings, { shards, indexDir, rate, seed, updates, engine }) {
  const { preset, method = {} } = ARMS[name];
  const { batch, patchSize, queueSize, levels } = settings;
  const { method: named, recipe } = METHOD_PRESETS[preset];
  const ofMethod = methodKind(named.name).schema.shape;
  const ofRecipe = recipeOptionsSchema.options.find(({ shape }) => shape.name.value === recipe.name).shape;
  return resolveConfig({
    preset,
    shards,
    engine,
    batch,
    seed,
    ...(indexDir !== undefined && { indexDir }),
    ...(rate !== undefined && { lr: rate }),
    warmupSteps: Math.round(WARM_UP * updates),
    method: { ...known(ofMethod, { ...network(), queueSize, levels }), ...method },
    recipe: known(ofRecipe, { globalSize: sideOf(name, settings), patchSize }),
  });
}

/** The options of the baseline's network. */
function network() {
  const { method } = resolveConfig({ preset: ARMS[BASELINE].preset, shards: ['-'] });
  return Object.fromEntries(NETWORK.map((option) => [option, method[option]]));
}

/** Of these options those that there are in a schema, and that have a value. */
function known(shape, options) {
  return Object.fromEntries(Object.entries(options).filter(([option, value]) => option in shape && value !== undefined));
}
