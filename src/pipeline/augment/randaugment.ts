/**
 * RandAugment as timm draws it (`rand-n2-m10-mstd0.5`; InfoMin's pre-training uses the same list). Strength grows
 * with the magnitude for the geometric operations, solarizeAdd and the four enhancements; posterize and solarize
 * change least at magnitude 10.
 */
import type { Random } from '../../common/random.js';
import type { RandAugment } from './recipe.js';

export type RandAugmentStep =
  | { readonly op: 'autoContrast' | 'equalize' | 'invert' }
  /** Counter-clockwise. */
  | { readonly op: 'rotate'; readonly degrees: number }
  /** High bits that are kept, 0..8. */
  | { readonly op: 'posterize'; readonly bits: number }
  /** Levels from here on are inverted, 0..256. */
  | { readonly op: 'solarize'; readonly threshold: number }
  /** Added to levels below `threshold`. */
  | { readonly op: 'solarizeAdd'; readonly add: number; readonly threshold: number }
  | { readonly op: 'saturation' | 'contrast' | 'brightness' | 'sharpness'; readonly factor: number }
  | { readonly op: 'shearX' | 'shearY'; readonly shear: number }
  /** Share of the image's side. */
  | { readonly op: 'translateX' | 'translateY'; readonly fraction: number };

export const MAX_MAGNITUDE = 10;

/** `share` is magnitude / 10; `sign` is -1 or 1 with equal chance. */
type Draw = (share: number, sign: () => number) => RandAugmentStep;

function enhance(op: 'saturation' | 'contrast' | 'brightness' | 'sharpness'): Draw {
  return (share) => ({ op, factor: 0.1 + 1.8 * share });
}

export const OPERATIONS: readonly Draw[] = [
  () => ({ op: 'autoContrast' }),
  () => ({ op: 'equalize' }),
  () => ({ op: 'invert' }),
  (share, sign) => ({ op: 'rotate', degrees: sign() * 30 * share }),
  (share) => ({ op: 'posterize', bits: Math.trunc(4 * share) }),
  (share) => ({ op: 'solarize', threshold: Math.trunc(256 * share) }),
  (share) => ({ op: 'solarizeAdd', add: Math.trunc(110 * share), threshold: 128 }),
  enhance('saturation'),
  enhance('contrast'),
  enhance('brightness'),
  enhance('sharpness'),
  (share, sign) => ({ op: 'shearX', shear: sign() * 0.3 * share }),
  (share, sign) => ({ op: 'shearY', shear: sign() * 0.3 * share }),
  (share, sign) => ({ op: 'translateX', fraction: sign() * 0.45 * share }),
  (share, sign) => ({ op: 'translateY', fraction: sign() * 0.45 * share }),
];

/** `n` of the 15 operations with replacement, each applied with probability `p` at a magnitude from N(M, std), clipped to [0, 10]. */
export function drawRandAugment(options: RandAugment, random: Random): readonly RandAugmentStep[] {
  const steps: RandAugmentStep[] = [];
  for (let i = 0; i < options.n; i++) {
    const draw = OPERATIONS[random.below(OPERATIONS.length)];
    if (draw === undefined || random.uniform() >= options.p) continue;
    const magnitude = Math.min(MAX_MAGNITUDE, Math.max(0, random.normal(options.magnitude, options.magnitudeStd)));
    steps.push(draw(magnitude / MAX_MAGNITUDE, () => (random.uniform() < 0.5 ? -1 : 1)));
  }
  return steps;
}
