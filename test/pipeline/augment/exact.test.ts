/**
 * The arithmetic of colour operations, to the bit. SIMD kernels split and reorder what these formulas say; batches of earlier
 * versions can be made again only as long as the pixels are the same.
 */
import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from '@jest/globals';
import { Random } from '#dist/common/random.js';
import { applyStep } from '#dist/pipeline/augment/execute.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import type { Step } from '#dist/pipeline/augment/parameters.js';

/** SHA-256 of a picture and its turns by 90, 180 and 270 degrees as Pillow's Image.transpose and numpy.rot90 make them. */
const TURNS = '6d4c14833fb1397bf7b416946944b9964495b44a03a655c9416ed129cb3c5e80';

type Pixel = readonly [red: number, green: number, blue: number];

const SIDE = 445;
/** Weights of a blend have 13 fractional bits. */
const ONE = 1 << 13;

let kernels: Kernels;
beforeAll(async () => {
  kernels = await Kernels.load(SIDE);
});

const clip = (level: number): number => Math.min(255, Math.max(0, level));
const luma = ([r, g, b]: Pixel): number => (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;

/** Goes from `grey`, at a factor of 0, through `level` at 1. */
function blend(level: number, grey: number, factor: number): number {
  const weight = Math.round(factor * ONE);
  return clip(Math.floor((weight * level + (ONE - weight) * grey + ONE / 128) / ONE));
}

/** Pillow's quantised hue, turned by `shift` 255ths, and back with a saturation that is not quantised. */
function turnHue([r, g, b]: Pixel, shift: number): Pixel {
  const top = Math.max(r, g, b);
  const chroma = top - Math.min(r, g, b);
  if (chroma === 0) return [r, g, b];
  const sextants = top === r ? g - b + (g < b ? 6 * chroma : 0) : top === g ? b - r + 2 * chroma : r - g + 4 * chroma;
  const turn = 6 * ((Math.floor((85 * sextants) / (2 * chroma)) + shift) & 255);
  const channel = (away: number): number => top - Math.floor((chroma * clip(away) + 127.5) / 255);
  return [channel(510 - Math.abs(turn - 765)), channel(Math.abs(turn - 510) - 255), channel(Math.abs(turn - 1020) - 255)];
}

/** Rows of SIDE pixels, the last one filled up with black. */
function picture(pixels: readonly Pixel[]): Uint8Array {
  const data = new Uint8Array(3 * SIDE * Math.ceil(pixels.length / SIDE));
  data.set(pixels.flat());
  return data;
}

/** Whether a step makes of these pixels the ones that are wanted, byte for byte. */
function gives(pixels: readonly Pixel[], step: Step, wanted: readonly Pixel[]): boolean {
  const data = picture(pixels);
  kernels.setImage(SIDE, data.length / 3 / SIDE, data);
  applyStep(kernels, step);
  const out = new Uint8Array(data.length);
  kernels.read(out);
  return Buffer.compare(out, picture(wanted)) === 0;
}

const random = new Random(3);
const level = (): number => random.below(256);
const colours = Array.from({ length: 10 * SIDE }, (): Pixel => [level(), level(), level()]);
const levels = Array.from({ length: SIDE }, (_, i): Pixel => [i & 255, 255 - (i & 255), (i * 7) & 255]);
const factors = [0, 0.001, 0.1, 0.6, 0.999, 1, 1.001, 1.4, 1.9, 2.5, 3];

test.each(factors)('brightness and contrast by %s: every level', (factor) => {
  const brighter = levels.map(([r, g, b]): Pixel => [blend(r, 0, factor), blend(g, 0, factor), blend(b, 0, factor)]);
  expect(gives(levels, { op: 'brightness', factor }, brighter)).toBe(true);
  for (const grey of [0, 37, 128, 255]) {
    // The grey pixels decide what the mean is.
    const pixels = [...levels, ...colours.map((): Pixel => [grey, grey, grey])];
    const mean = Math.floor(pixels.reduce((sum, pixel) => sum + luma(pixel), 0) / pixels.length + 0.5);
    const wanted = pixels.map(([r, g, b]): Pixel => [blend(r, mean, factor), blend(g, mean, factor), blend(b, mean, factor)]);
    expect(gives(pixels, { op: 'contrast', factor }, wanted)).toBe(true);
  }
});

test.each(factors)('saturation by %s', (factor) => {
  const wanted = colours.map((pixel): Pixel => {
    const grey = luma(pixel);
    return [blend(pixel[0], grey, factor), blend(pixel[1], grey, factor), blend(pixel[2], grey, factor)];
  });
  expect(gives(colours, { op: 'saturation', factor }, wanted)).toBe(true);
});

test('greyscale', () => {
  const wanted = colours.map((pixel): Pixel => [luma(pixel), luma(pixel), luma(pixel)]);
  expect(gives(colours, { op: 'grayscale' }, wanted)).toBe(true);
});

test('quarter turns', () => {
  const side = 37;
  const out = new Uint8Array(4 * 3 * side * side);
  kernels.setImage(
    side,
    side,
    Uint8Array.from({ length: 3 * side * side }, (_, i) => 7 * i * i + 13 * i),
  );
  kernels.readTurns(out);
  expect(createHash('sha256').update(out).digest('hex')).toBe(TURNS);
});

/** Of a sextant: which channel is the greatest, the middle and the least one. */
const SEXTANTS = [
  [0, 1, 2],
  [1, 0, 2],
  [1, 2, 0],
  [2, 1, 0],
  [2, 0, 1],
  [0, 2, 1],
] as const;

/** Every hue at every chroma, as far as 8 bits tell them apart. */
const hues = SEXTANTS.flatMap(([most, middle, least]) =>
  Array.from({ length: 256 }, (_, chroma) => chroma).flatMap((chroma) =>
    Array.from({ length: chroma + 1 }, (_, rise): Pixel => {
      const bottom = (255 - chroma) >> 1;
      const pixel: [number, number, number] = [0, 0, 0];
      pixel[most] = bottom + chroma;
      pixel[middle] = bottom + rise;
      pixel[least] = bottom;
      return pixel;
    }),
  ),
);

test.each([0, 25, -100])('every hue at every chroma, turned by %s 255ths', (shift) => {
  const wanted = hues.map((pixel) => turnHue(pixel, shift));
  // Half a 255th more, which the kernels' host cuts off, so that rounding the product cannot lose one.
  expect(gives(hues, { op: 'hue', shift: (shift + 0.5 * Math.sign(shift)) / 255 }, wanted)).toBe(true);
});
