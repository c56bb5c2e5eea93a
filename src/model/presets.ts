/** The method of each preset; schedules, batch and recipe are the trainer's. Sources: DetCo section 3, MoCo's README. */
import { methodOptions } from './options.js';
import type { MethodOptions } from './options.js';

const mocoV2 = { arch: 'resnet50', levels: { res5: 1 }, terms: ['gg'] } as const;

export const methodPresets = {
  /** The paper's method. */
  'detco-r50': methodOptions({ arch: 'resnet50' }),
  'moco-v2-r50': methodOptions(mocoV2),
  'moco-v1-r50': methodOptions({ ...mocoV2, head: 'linear', temperature: 0.07 }),
  /** All of DetCo on small images: minutes on two cores. A short queue and a quick key encoder suit small data sets. */
  tiny: methodOptions({ arch: 'resnet18', width: 16, dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 }),
} as const satisfies Record<string, MethodOptions>;

export type MethodPreset = keyof typeof methodPresets;
