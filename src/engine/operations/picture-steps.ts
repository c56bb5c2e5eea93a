/**
 * The steps of augmentation that an engine does to pictures, and the table in which a fused kernel gets them.
 *
 * A kernel goes over the pictures in passes. A pass reads a picture once and does as many steps as it can: those of one pixel follow
 * each other in registers, one that needs neighbours begins a pass, and so does one that needs a sum over the picture, which the pass
 * before it has made. A blur takes two passes, along rows and along columns.
 */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { boxRadius } from '../../common/box-blur.js';

/** One operation on the levels 0..255 of a picture, in the conventions of torchvision and PIL. */
export type PictureStep =
  | { readonly op: 'brightness' | 'contrast' | 'saturation' | 'sharpness'; readonly factor: number }
  /** Turn of the hue circle, -0.5..0.5. */
  | { readonly op: 'hue'; readonly shift: number }
  | { readonly op: 'grayscale' | 'autoContrast' | 'invert' }
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
  'sharpness',
  'invert',
  'posterize',
  'solarize',
  'solarizeAdd',
] as const satisfies readonly PictureStep['op'][];

export function isPictureStep<S extends { readonly op: string }>(step: S): step is S & PictureStep {
  return (PICTURE_OPERATIONS as readonly string[]).includes(step.op);
}

/** Columns of the table: code, two parameters, pass. */
export const STEP_COLUMNS = 4;

/** The numbers of native/torch/src/augment_point.h. */
export const STEP_CODES = {
  brightness: 1,
  contrast: 2,
  saturation: 3,
  hue: 4,
  grayscale: 5,
  autoContrast: 6,
  invert: 7,
  posterize: 8,
  solarize: 9,
  solarizeAdd: 10,
  sharpness: 11,
  blurRows: 12,
  blurColumns: 13,
} as const;

/** All steps of all pictures, as a kernel reads them. */
export interface StepTable {
  /**
   * [N, rows, 4]: code, two parameters, and the pass in which the step is done. At least one row of each picture follows its steps, with code 0
   * and the picture's last pass.
   */
  readonly values: Float32Array;
  readonly rows: number;
  /** Of the picture that takes the most, at least 1. */
  readonly passes: number;
}

type Row = readonly [code: number, first: number, second: number, pass: number];

export function packSteps(steps: readonly (readonly PictureStep[])[]): StepTable {
  const pictures = steps.map(rowsOf);
  const rows = 1 + Math.max(0, ...pictures.map(({ length }) => length));
  const values = new Float32Array(pictures.length * rows * STEP_COLUMNS);
  let passes = 1;
  pictures.forEach((picture, n) => {
    const last = picture.at(-1)?.[3] ?? 0;
    passes = Math.max(passes, last + 1);
    for (let row = 0; row < rows; row++) values.set(picture[row] ?? [0, 0, 0, last], (n * rows + row) * STEP_COLUMNS);
  });
  return { values, rows, passes };
}

function rowsOf(steps: readonly PictureStep[]): Row[] {
  const rows: Row[] = [];
  let pass = 0;
  const add = (code: keyof typeof STEP_CODES, first = 0, second = 0): number => rows.push([STEP_CODES[code], first, second, pass]);
  // The first pass reads what was uploaded: neighbours are there, sums are not.
  const beginPass = (): void => {
    if (rows.length > 0) pass++;
  };
  for (const step of steps) {
    switch (step.op) {
      case 'contrast':
      case 'autoContrast':
        pass++;
        add(step.op, 'factor' in step ? step.factor : 0);
        break;
      case 'sharpness':
        beginPass();
        add('sharpness', step.factor);
        break;
      case 'gaussianBlur':
        beginPass();
        add('blurRows', boxRadius(step.sigma));
        pass++;
        add('blurColumns', boxRadius(step.sigma));
        break;
      case 'hue':
        add('hue', Math.trunc(step.shift * 255) & 255);
        break;
      case 'posterize':
        add('posterize', 2 ** (8 - step.bits));
        break;
      case 'solarize':
        add('solarize', step.threshold);
        break;
      case 'solarizeAdd':
        add('solarizeAdd', step.add, step.threshold);
        break;
      default:
        add(step.op, 'factor' in step ? step.factor : 0);
    }
  }
  return rows;
}

/** @throws unless levels are float32 [N, H, W, 3], with a list of steps for each picture. */
export function checkPictures(levels: Tensor4D, steps: readonly (readonly PictureStep[])[]): void {
  if (levels.rank !== 4 || levels.shape[3] !== 3 || levels.dtype !== 'float32')
    throw new Error(`augmentation of ${levels.dtype} of shape [${levels.shape}]: expected levels, float32 [N, H, W, 3]`);
  if (steps.length !== levels.shape[0])
    throw new Error(`${steps.length} lists of steps for pictures [${levels.shape}]: expected ${levels.shape[0]}, one for each picture`);
}
