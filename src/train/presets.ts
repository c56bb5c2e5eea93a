/** What each preset trains and how: the method's options are the model's (`methodPresets`), the rest is here. */
import { methodPresets } from '../model/index.js';
import type { ConfigInput } from './config.js';

export const PRESET_NAMES = ['detco-r50', 'moco-v2-r50', 'moco-v1-r50', 'tiny'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** DetCo section 3.4 and MoCo's README. */
const IMAGENET = { batch: 256, lr: 0.03, epochs: 200 } as const;

export const presets: Readonly<Record<PresetName, Omit<ConfigInput, 'shards' | 'preset'>>> = {
  'detco-r50': { ...IMAGENET, schedule: { kind: 'cosine' }, method: methodPresets['detco-r50'], recipe: { name: 'detco' } },
  'moco-v2-r50': { ...IMAGENET, schedule: { kind: 'cosine' }, method: methodPresets['moco-v2-r50'], recipe: { name: 'mocoV2' } },
  'moco-v1-r50': {
    ...IMAGENET,
    schedule: { kind: 'step', milestones: [120, 160], factor: 0.1 },
    method: methodPresets['moco-v1-r50'],
    recipe: { name: 'mocoV1' },
  },
  // A first run: minutes on two cores with a thousand or two small images. The rate warms up because random rows fill the queue at first.
  // RandAugment is off: with it the loss falls half as far in these steps.
  tiny: {
    batch: 32,
    lr: 0.24,
    epochs: 20,
    warmupSteps: 40,
    schedule: { kind: 'cosine' },
    method: methodPresets.tiny,
    recipe: { name: 'detco', globalSize: 48, patchSize: 24, randAugment: false },
    evalEvery: 5,
    decodedCache: '100MB',
  },
};
