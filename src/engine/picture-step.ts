/** The steps of augmentation that an engine does to pictures. */
import type { GeometricStep } from '../common/affine.js';

/** One operation on the levels 0..255 of a picture, in the conventions of torchvision and PIL. */
export type PictureStep =
  | GeometricStep
  | { readonly op: 'brightness' | 'contrast' | 'saturation' | 'sharpness'; readonly factor: number }
  /** Turn of the hue circle, -0.5..0.5. */
  | { readonly op: 'hue'; readonly shift: number }
  | { readonly op: 'grayscale' | 'autoContrast' | 'equalize' | 'invert' }
  /** Standard deviation, pixels. */
  | { readonly op: 'gaussianBlur'; readonly sigma: number }
  /** High bits that are kept, 0..8. */
  | { readonly op: 'posterize'; readonly bits: number }
  /** Levels from here on are inverted, 0..256. */
  | { readonly op: 'solarize'; readonly threshold: number }
  /** Added to levels below `threshold`. */
  | { readonly op: 'solarizeAdd'; readonly add: number; readonly threshold: number };

/** Every `op` of a step. */
export const PICTURE_OPERATIONS = [
  'brightness',
  'contrast',
  'saturation',
  'hue',
  'grayscale',
  'gaussianBlur',
  'autoContrast',
  'equalize',
  'sharpness',
  'invert',
  'posterize',
  'solarize',
  'solarizeAdd',
  'rotate',
  'shearX',
  'shearY',
  'translateX',
  'translateY',
] as const satisfies readonly PictureStep['op'][];

export function isPictureStep<S extends { readonly op: string }>(step: S): step is S & PictureStep {
  return (PICTURE_OPERATIONS as readonly string[]).includes(step.op);
}
