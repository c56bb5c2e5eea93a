/** The table in which a fused kernel gets the steps of pictures. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { boxRadius } from '#dist/common/box-blur.js';
import type { PictureStep } from '#dist/engine/index.js';
import { packSteps, STEP_CODES, STEP_COLUMNS } from '#dist/engine/operations/picture-steps.js';

const { brightness, contrast, hue, posterize, solarizeAdd, sharpness, blurRows, blurColumns, invert, autoContrast, affine, equalize } =
  STEP_CODES;

/** A row of the table. */
const row = (code: number, pass: number, ...parameters: readonly number[]) => [
  code,
  ...Array.from({ length: 6 }, (_, i) => parameters[i] ?? 0),
  pass,
];

/** The rows of one picture. */
function packed(steps: readonly PictureStep[]): { readonly rows: readonly (readonly number[])[]; readonly passes: number } {
  const { values, rows, passes } = packSteps([steps], 40, 60);
  return { rows: Array.from({ length: rows }, (_, row) => [...values.subarray(row * STEP_COLUMNS, (row + 1) * STEP_COLUMNS)]), passes };
}

describe('a picture takes as few passes as its steps force', () => {
  test('those of one pixel share one', () => {
    const { rows, passes } = packed([
      { op: 'brightness', factor: 1.5 },
      { op: 'hue', shift: -0.25 },
      { op: 'posterize', bits: 3 },
      { op: 'solarizeAdd', add: 90, threshold: 128 },
    ]);
    expect(passes).toBe(1);
    // A turn of -63.75 of 256 is cut to -63, as in Pillow's byte.
    expect(rows).toEqual([
      row(brightness, 0, 1.5, 0),
      row(hue, 0, 193, 0),
      row(posterize, 0, 32, 0),
      row(solarizeAdd, 0, 90, 128),
      row(0, 0, 0, 0),
    ]);
  });

  test('what needs a sum over the picture waits for a pass that makes it, the first included', () => {
    const { rows, passes } = packed([{ op: 'contrast', factor: 0.5 }, { op: 'invert' }, { op: 'autoContrast' }]);
    expect(passes).toBe(3);
    expect(rows).toEqual([row(contrast, 1, 0.5, 0), row(invert, 1, 0, 0), row(autoContrast, 2, 0, 0), row(0, 2, 0, 0)]);
  });

  test('what moves pixels begins a pass, with where each comes from', () => {
    const { rows, passes } = packed([
      { op: 'invert' },
      { op: 'translateX', fraction: -0.1 },
      { op: 'shearY', shear: 0.25 },
      { op: 'equalize' },
    ]);
    expect(passes).toBe(4);
    expect(rows).toEqual([
      row(invert, 0),
      row(affine, 1, 1, 0, -6, 0, 1, 0),
      row(affine, 2, 1, 0, 0, 0.25, 1, 0),
      row(equalize, 3),
      row(0, 3),
    ]);
  });

  test('what needs neighbours begins a pass, and a blur takes two', () => {
    const radius = boxRadius(2);
    const { rows, passes } = packed([{ op: 'sharpness', factor: 0.25 }, { op: 'gaussianBlur', sigma: 2 }, { op: 'invert' }]);
    expect(passes).toBe(3);
    expect(rows).toEqual([
      row(sharpness, 0, 0.25, 0),
      row(blurRows, 1, radius, 0),
      row(blurColumns, 2, radius, 0),
      row(invert, 2, 0, 0),
      row(0, 2, 0, 0),
    ]);
  });
});

test('pictures of fewer steps are filled with rows that tell their own last pass', () => {
  const { values, rows, passes } = packSteps([[{ op: 'contrast', factor: 2 }, { op: 'invert' }], [], [{ op: 'autoContrast' }]], 4, 4);
  expect([rows, passes]).toEqual([3, 2]);
  const codesAndPasses = Array.from({ length: 3 * rows }, (_, row) => [values[row * STEP_COLUMNS], values[row * STEP_COLUMNS + 7]]);
  expect(codesAndPasses).toEqual([
    [contrast, 1],
    [invert, 1],
    [0, 1],
    [0, 0],
    [0, 0],
    [0, 0],
    [autoContrast, 1],
    [0, 1],
    [0, 1],
  ]);
});

test('no pictures are one pass of none', () => {
  expect(packSteps([], 4, 4)).toMatchObject({ rows: 1, passes: 1 });
});

test('codes are those of the kernels', () => {
  const header = readFileSync(new URL('../../native/torch/src/augment_point.h', import.meta.url), 'utf8');
  const [, listed = ''] = /enum StepCode \{([^}]*)\}/.exec(header) ?? [];
  const names = listed.split(',').map((name) => name.trim());
  const expected = Object.entries(STEP_CODES).map(([name, code]) => [code, `k${name.charAt(0).toUpperCase()}${name.slice(1)}`]);
  expect(names.map((name, code) => [code, name])).toEqual([[0, 'kNoStep'], ...expected]);
});
