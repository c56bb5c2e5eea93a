/** What is compared: methods with the same network, data, views of the same size, batch and updates. */
import { resolveConfig } from '../../dist/train/index.js';

/** Names of the field, in the order of the report. The presets' own networks differ: `tiny-densecl` has another stem. */
export const ARMS = {
  untrained: { title: 'untrained', preset: 'tiny-moco', trained: false },
  moco: { title: 'MoCo v2', preset: 'tiny-moco' },
  'multi-level': { title: 'multi-level only', preset: 'tiny', method: { terms: ['gg'] } },
  'global-local': { title: 'global-local only', preset: 'tiny', method: { levels: { res5: 1 } } },
  detco: { title: 'DetCo', preset: 'tiny' },
  simclr: { title: 'SimCLR', preset: 'tiny-simclr' },
  byol: { title: 'BYOL', preset: 'tiny-byol' },
  densecl: { title: 'DenseCL', preset: 'tiny-densecl', method: { stem: 'imagenet' } },
};

/** Others are compared to it. */
export const BASELINE = 'moco';

/** Warm-up, as a share of the updates. */
const WARM_UP = 0.05;

/** The options of a run of one arm, as `detco train` would have them. */
export function configOf(name, settings, { shards, rate, seed, updates, engine }) {
  const { preset, method = {} } = ARMS[name];
  const { batch, globalSize, patchSize, queueSize, levels } = settings;
  const hasQueue = !['simclr', 'byol'].includes(name);
  const hasLevels = ['multi-level', 'detco'].includes(name);
  return resolveConfig({
    preset,
    shards,
    engine,
    batch,
    seed,
    ...(rate !== undefined && { lr: rate }),
    warmupSteps: Math.round(WARM_UP * updates),
    method: { ...method, ...(hasQueue && queueSize && { queueSize }), ...(hasLevels && levels && { levels }) },
    recipe: { globalSize, ...(preset === 'tiny' && { patchSize }) },
  });
}
