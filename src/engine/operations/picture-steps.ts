/**
 * The table in which a fused kernel of augmentation gets the steps of pictures.
 *
 * A kernel goes over the pictures in passes. A pass reads a picture once and does as many steps as it can: those of one pixel follow
 * each other in registers, one that needs neighbours begins a pass, and so does one that needs a sum over the picture, which the pass
 * before it has made. A blur takes two passes, along rows and along columns.
 */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { affineOf } from '../../common/affine.js';
import { boxRadius } from '../../common/box-blur.js';
import type { PictureStep } from '../picture-step.js';

/** Columns of the table: code, six parameters, pass. */
export const STEP_COLUMNS = 8;
const PASS = STEP_COLUMNS - 1;

/** The numbers of native/torch/src/augment_point.h. */
export const STEP_CODES = {
  brightness: 1,
  contrast: 2,
  saturation: 3,
  hue: 4,
  grayscale: 5,
  autoContrast: 6,
  equalize: 7,
  invert: 8,
  posterize: 9,
  solarize: 10,
  solarizeAdd: 11,
  sharpness: 12,
  affine: 13,
  blurRows: 14,
  blurColumns: 15,
} as const;

/** All steps of all pictures, as a kernel reads them. */
export interface StepTable {
  /**
   * [N, rows, 8]: code, six parameters, and the pass in which the step is done. At least one row of each picture follows its steps, with code 0
   * and the picture's last pass.
   */
  readonly values: Float64Array;
  readonly rows: number;
  /** Of the picture that takes the most, at least 1. */
  readonly passes: number;
}

interface Row {
  readonly code: number;
  readonly parameters: readonly number[];
  readonly pass: number;
}

/** @param height, width of every picture, pixels */
export function packSteps(steps: readonly (readonly PictureStep[])[], height: number, width: number): StepTable {
  const pictures = steps.map((list) => rowsOf(list, height, width));
  const rows = 1 + Math.max(0, ...pictures.map(({ length }) => length));
  const values = new Float64Array(pictures.length * rows * STEP_COLUMNS);
  let passes = 1;
  pictures.forEach((picture, n) => {
    const last = picture.at(-1)?.pass ?? 0;
    passes = Math.max(passes, last + 1);
    for (let row = 0; row < rows; row++) {
      const { code, parameters, pass } = picture[row] ?? { code: 0, parameters: [], pass: last };
      const at = (n * rows + row) * STEP_COLUMNS;
      values[at] = code;
      values.set(parameters, at + 1);
      values[at + PASS] = pass;
    }
  });
  return { values, rows, passes };
}

function rowsOf(steps: readonly PictureStep[], height: number, width: number): Row[] {
  const rows: Row[] = [];
  let pass = 0;
  const add = (code: keyof typeof STEP_CODES, ...parameters: readonly number[]): number =>
    rows.push({ code: STEP_CODES[code], parameters, pass });
  // The first pass reads what was uploaded: neighbours are there, sums are not.
  const beginPass = (): void => {
    if (rows.length > 0) pass++;
  };
  for (const step of steps) {
    switch (step.op) {
      case 'contrast':
        pass++;
        add('contrast', step.factor);
        break;
      case 'autoContrast':
      case 'equalize':
        pass++;
        add(step.op);
        break;
      case 'sharpness':
        beginPass();
        add('sharpness', step.factor);
        break;
      case 'rotate':
      case 'shearX':
      case 'shearY':
      case 'translateX':
      case 'translateY':
        beginPass();
        add('affine', ...affineOf(step, width, height));
        break;
      case 'gaussianBlur':
        beginPass();
        add('blurRows', boxRadius(step.sigma));
        pass++;
        add('blurColumns', boxRadius(step.sigma));
        break;
      case 'brightness':
      case 'saturation':
        add(step.op, step.factor);
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
      case 'grayscale':
      case 'invert':
        add(step.op);
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
