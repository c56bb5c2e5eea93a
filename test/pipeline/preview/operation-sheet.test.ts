/** Each operation over its range, read back from the PNG, against what arithmetic says of it. */
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { operationSheet } from '#dist/pipeline/preview/operation-sheet.js';
import { OPERATION_NAMES, operationRange } from '#dist/pipeline/preview/operations.js';
import type { Pixels } from '#dist/pipeline/preview/canvas.js';
import type { Sheet } from '#dist/pipeline/preview/layout.js';
import { fixtureSamples } from '../../support/images.js';
import { readLine, readLines } from '../../support/read-text.js';

const SIDE = 100;

async function photograph(): Promise<Pixels> {
  const [sample] = await fixtureSamples(1);
  const data = await sharp(sample?.image).resize(SIDE, SIDE).removeAlpha().raw().toBuffer();
  // A level that every solarization but the last inverts.
  data[data.length - 1] = 255;
  return { width: SIDE, height: SIDE, data };
}

async function decoded(sheet: Sheet): Promise<Pixels> {
  const { data, info } = await sharp(await sheet.canvas.png())
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

function pictureAt({ width, data }: Pixels, { left, top }: Sheet['places'][number]): Buffer {
  const rows = Array.from({ length: SIDE }, (_, y) => data.subarray(3 * ((top + y) * width + left), 3 * ((top + y) * width + left + SIDE)));
  return Buffer.concat(rows);
}

/** Pictures of a row, from the left, and the words below each. */
async function rowOf(image: Pixels, name: string): Promise<{ readonly pictures: Buffer[]; readonly words: string[] }> {
  const sheet = await operationSheet(image, [name], 'a photograph');
  const pixels = await decoded(sheet);
  expect(readLine(pixels, 12, 36)).toContain(name);
  const words = sheet.places.map(({ left, top }) => readLines(pixels, left, top + SIDE + 4, Math.floor(SIDE / 6)).join(' '));
  return { pictures: sheet.places.map((place) => pictureAt(pixels, place)), words };
}

/** Where in its range an operation does nothing, by the operation's own definition. */
const NEUTRAL: Readonly<Record<string, number>> = {
  grayscale: 0,
  horizontalFlip: 0,
  lab: 0,
  autoContrast: 0,
  equalize: 0,
  invert: 0,
  rotate: 5,
  solarize: 10,
  solarizeAdd: 0,
  saturation: 5,
  contrast: 5,
  brightness: 5,
  sharpness: 5,
  shearX: 5,
  shearY: 5,
  translateX: 5,
  translateY: 5,
};

test.each(OPERATION_NAMES.filter((name) => name !== 'hue'))(
  '%s leaves the image as it is where it has nothing to do, and nowhere else',
  async (name) => {
    const image = await photograph();
    const { pictures, words } = await rowOf(image, name);
    expect(pictures).toHaveLength(operationRange(name, SIDE).length);
    expect(new Set(words).size).toBe(words.length);
    const same = pictures.flatMap((picture, i) => (picture.equals(image.data) ? [i] : []));
    // The least blur is of a fiftieth of a pixel: whether it moves a level is up to the photograph.
    expect(same.filter((i) => i > 0 || name !== 'gaussianBlur')).toEqual(name in NEUTRAL ? [NEUTRAL[name]] : []);
  },
);

const each = (image: Pixels, change: (level: number) => number): Buffer => Buffer.from(Uint8Array.from(image.data, change));

const farthest = (a: Uint8Array, b: Uint8Array): number => Math.max(...a.map((level, i) => Math.abs(level - (b[i] ?? 0))));

test('hue goes by way of HSV, whose levels are whole: unturned it is the image but for their rounding', async () => {
  const image = await photograph();
  const { pictures, words } = await rowOf(image, 'hue');
  expect([words[0], words[5], words[10]]).toEqual(['-0.50', '0.00', '+0.50']);
  expect(farthest(pictures[5] ?? image.data, image.data)).toBeLessThanOrEqual(3);
  for (const i of [0, 1, 9, 10]) expect(farthest(pictures[i] ?? image.data, image.data)).toBeGreaterThan(10);
});

test('values are what they say', async () => {
  const image = await photograph();
  const inverted = await rowOf(image, 'invert');
  expect(inverted.words).toEqual(['without', 'with']);
  expect(inverted.pictures[1]?.equals(each(image, (level) => 255 - level))).toBe(true);
  const posterized = await rowOf(image, 'posterize');
  expect(posterized.words[5]).toBe('2 bits magnitude 5');
  expect(posterized.pictures[5]?.equals(each(image, (level) => level & 0b1100_0000))).toBe(true);
  const solarized = await rowOf(image, 'solarize');
  expect(solarized.words[4]).toBe('102 magnitude 4');
  expect(solarized.pictures[4]?.equals(each(image, (level) => (level < 102 ? level : 255 - level)))).toBe(true);
  const { words, pictures } = await rowOf(image, 'translateX');
  expect(words[0]).toBe('-0.45 magnitude -10');
  expect(words[10]).toBe('+0.45 magnitude 10');
  // By 45 whole pixels to the left.
  expect(pictures[10]?.subarray(0, 3 * 55)).toEqual(Buffer.from(image.data.subarray(3 * 45, 3 * 100)));
  const { words: sigmas } = await rowOf(image, 'gaussianBlur');
  // MoCo v2's 0.1 to 2 pixels at 224, in proportion.
  expect([sigmas[0], sigmas.at(-1)]).toEqual(['0.04 px', '0.89 px']);
});

test('several operations are rows of one sheet', async () => {
  const image = await photograph();
  const { places, canvas } = await operationSheet(image, ['rotate', 'grayscale'], 'both');
  expect(places.filter(({ row }) => row === 0)).toHaveLength(11);
  expect(places.filter(({ row }) => row === 1)).toHaveLength(2);
  for (const { left, top } of places) {
    expect(left + SIDE).toBeLessThanOrEqual(canvas.width - 12);
    expect(top + SIDE).toBeLessThanOrEqual(canvas.height - 12);
  }
});
