/** CIELAB as other programs have it (fixtures/golden/lab.json, which lab.py makes). */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { labOf, toLabBytes } from '#dist/common/lab.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import { applyStep } from '#dist/pipeline/augment/execute.js';

interface Golden {
  readonly rgb: readonly number[];
  readonly opencv: readonly number[];
  readonly lab: readonly number[];
}

const { rgb, opencv, lab } = JSON.parse(readFileSync(new URL('../../fixtures/golden/lab.json', import.meta.url), 'utf8')) as Golden;
const PIXELS = rgb.length / 3;

test('the numbers are of more than a thousand colours', () => {
  expect(PIXELS).toBeGreaterThan(1000);
  expect([opencv.length, lab.length]).toEqual([rgb.length, rgb.length]);
});

test('exact values are those of scikit-image', () => {
  const exact = Array.from({ length: PIXELS }, (_, i) => labOf(rgb[3 * i] ?? NaN, rgb[3 * i + 1] ?? NaN, rgb[3 * i + 2] ?? NaN)).flat();
  expect(Math.max(...exact.map((value, i) => Math.abs(value - (lab[i] ?? NaN))))).toBeLessThan(0.01);
});

test('bytes are within a level of the exact values, and within two of those of OpenCV, which is that far from them near black', () => {
  const bytes = Uint8Array.from(rgb);
  toLabBytes(bytes);
  const exact = lab.map((value, i) => (i % 3 === 0 ? 2.55 * value : value + 128));
  const away = (from: readonly number[]): number[] => [...bytes].map((level, i) => Math.abs(level - (from[i] ?? NaN)));
  expect(Math.max(...away(exact))).toBeLessThan(1);
  expect(Math.max(...away(opencv))).toBeLessThanOrEqual(2);
  expect(away(opencv).filter((distance) => distance > 1).length / bytes.length).toBeLessThan(0.01);
});

test('greys have no colour', () => {
  const greys = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));
  toLabBytes(greys);
  expect(greys.filter((_, i) => i % 3 !== 0).every((level) => level === 128)).toBe(true);
  expect([greys[0], greys[3 * 255]]).toEqual([0, 255]);
});

test('the operation of a view is this, after what stands before it', async () => {
  const [width, height] = [16, 8];
  const pixels = Uint8Array.from(rgb.slice(0, 3 * width * height));
  const wanted = pixels.map((level) => 255 - level);
  toLabBytes(wanted);
  const kernels = await Kernels.load(width);
  kernels.setImage(width, height, pixels);
  applyStep(kernels, { op: 'invert' });
  applyStep(kernels, { op: 'lab' });
  const out = new Uint8Array(pixels.length);
  kernels.read(out);
  expect(out).toEqual(wanted);
});
