/** The table in which a fused kernel gets the steps of pictures. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { boxRadius } from '#dist/common/box-blur.js';
import type { PictureStep } from '#dist/engine/index.js';
import { packSteps, STEP_CODES, STEP_COLUMNS } from '#dist/engine/operations/picture-steps.js';

const { brightness, contrast, hue, posterize, solarizeAdd, sharpness, blurRows, blurColumns, invert, autoContrast } = STEP_CODES;

/** The rows of one picture. */
function packed(steps: readonly PictureStep[]): { readonly rows: readonly (readonly number[])[]; readonly passes: number } {
  const { values, rows, passes } = packSteps([steps]);
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
      [brightness, 1.5, 0, 0],
      [hue, 193, 0, 0],
      [posterize, 32, 0, 0],
      [solarizeAdd, 90, 128, 0],
      [0, 0, 0, 0],
    ]);
  });

  test('what needs a sum over the picture waits for a pass that makes it, the first included', () => {
    const { rows, passes } = packed([{ op: 'contrast', factor: 0.5 }, { op: 'invert' }, { op: 'autoContrast' }]);
    expect(passes).toBe(3);
    expect(rows).toEqual([
      [contrast, 0.5, 0, 1],
      [invert, 0, 0, 1],
      [autoContrast, 0, 0, 2],
      [0, 0, 0, 2],
    ]);
  });

  test('what needs neighbours begins a pass, and a blur takes two', () => {
    const radius = Math.fround(boxRadius(2));
    const { rows, passes } = packed([{ op: 'sharpness', factor: 0.25 }, { op: 'gaussianBlur', sigma: 2 }, { op: 'invert' }]);
    expect(passes).toBe(3);
    expect(rows).toEqual([
      [sharpness, 0.25, 0, 0],
      [blurRows, radius, 0, 1],
      [blurColumns, radius, 0, 2],
      [invert, 0, 0, 2],
      [0, 0, 0, 2],
    ]);
  });
});

test('pictures of fewer steps are filled with rows that tell their own last pass', () => {
  const { values, rows, passes } = packSteps([[{ op: 'contrast', factor: 2 }, { op: 'invert' }], [], [{ op: 'autoContrast' }]]);
  expect([rows, passes]).toEqual([3, 2]);
  const codesAndPasses = Array.from({ length: 3 * rows }, (_, row) => [values[row * STEP_COLUMNS], values[row * STEP_COLUMNS + 3]]);
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
  expect(packSteps([])).toMatchObject({ rows: 1, passes: 1 });
});

test('codes are those of the kernels', () => {
  const header = readFileSync(new URL('../../native/torch/src/augment_point.h', import.meta.url), 'utf8');
  const [, listed = ''] = /enum StepCode \{([^}]*)\}/.exec(header) ?? [];
  const names = listed.split(',').map((name) => name.trim());
  const expected = Object.entries(STEP_CODES).map(([name, code]) => [code, `k${name.charAt(0).toUpperCase()}${name.slice(1)}`]);
  expect(names.map((name, code) => [code, name])).toEqual([[0, 'kNoStep'], ...expected]);
});
