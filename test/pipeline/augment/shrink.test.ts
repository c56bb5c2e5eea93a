/** Large images are decoded smaller when every crop has pixels to spare; the views stay those of the whole image. */
import { beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { type Augmenter, createAugmenter, type DecodedImage } from '#dist/pipeline/augment/augmenter.js';
import { viewBytes } from '#dist/pipeline/augment/recipe.js';
import { recipes } from '#dist/pipeline/augment/recipes.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { decodeImage } from '#dist/pipeline/worker/decode.js';

const SHARD = new URL('../../../fixtures/shards/val-000.tar', import.meta.url).pathname;
const [WIDTH, HEIGHT] = [1530, 1020];

/** A picture as large as a camera's, with detail everywhere: fixtures side by side. */
async function largeJpeg(): Promise<Buffer> {
  const tiles: { input: Buffer; left: number; top: number }[] = [];
  const side = 102;
  for await (const { image } of readShard(SHARD)) {
    const place = tiles.length;
    tiles.push({
      input: await sharp(image).resize(side, side, { fit: 'fill' }).toBuffer(),
      left: (place % 15) * side,
      top: Math.floor(place / 15) * side,
    });
    if (tiles.length === 150) break;
  }
  return sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: '#808080' } })
    .composite(tiles)
    .jpeg({ quality: 90 })
    .toBuffer();
}

let jpeg: Buffer;
beforeAll(async () => {
  jpeg = await largeJpeg();
});

const RECIPE = recipes.detco({ globalSize: 56, patchSize: 14, randAugment: false });
// Colour and blur would hide what the crop does.
const CROPS = {
  ...RECIPE,
  views: Object.fromEntries(Object.entries(RECIPE.views).map(([name, view]) => [name, { ...view, operations: [] }])),
};

function rendered(augmenter: Augmenter, image: DecodedImage, index: number): Record<string, Uint8Array> {
  const out = Object.fromEntries(Object.entries(CROPS.views).map(([name, view]) => [name, new Uint8Array(viewBytes(view))]));
  const loaded = augmenter.load(image);
  loaded.render({ seed: 5, epoch: 0, shard: 0, index }, out);
  loaded.unload();
  return out;
}

test('views of a smaller decode are within the tolerance of resampling', async () => {
  const augmenter = await createAugmenter(CROPS);
  const whole = await decodeImage(jpeg);
  const shrinks = new Set<number>();
  for (let index = 0; index < 60; index++) {
    const sample = { seed: 5, epoch: 0, shard: 0, index };
    let asked = 0;
    const image = await decodeImage(jpeg, { shrink: (width, height) => (asked = augmenter.shrink(width, height, sample)) });
    shrinks.add(asked);
    expect([image.width, image.height]).toEqual([Math.floor(WIDTH / asked), Math.floor(HEIGHT / asked)]);
    const [got, wanted] = [rendered(augmenter, image, index), rendered(augmenter, whole, index)];
    for (const name of Object.keys(CROPS.views)) {
      const distances = Array.from(wanted[name] ?? [], (value, i) => Math.abs(value - (got[name]?.[i] ?? Number.NaN)));
      expect(distances.length).toBeGreaterThan(0);
      expect(distances.reduce((sum, x) => sum + x, 0) / distances.length).toBeLessThan(2);
      expect(distances.reduce((most, x) => Math.max(most, x), 0)).toBeLessThanOrEqual(32);
    }
  }
  expect([...shrinks].toSorted((a, b) => a - b)).toEqual(expect.arrayContaining([3, 5]));
});

test('an image without pixels to spare is decoded whole', async () => {
  const augmenter = await createAugmenter(recipes.detco());
  const sample = { seed: 5, epoch: 0, shard: 0, index: 0 };
  expect(augmenter.shrink(500, 375, sample)).toBe(1);
  expect(augmenter.shrink(WIDTH, HEIGHT, sample)).toBe(1);
  const image = await decodeImage(jpeg, { shrink: () => 1 });
  expect([image.width, image.height, image.original]).toEqual([WIDTH, HEIGHT, undefined]);
});

test('an image is drafted at the size that leaves every crop a pixel for each of its view', async () => {
  const augmenter = await createAugmenter(CROPS);
  const drafts = new Set<number>();
  for (let index = 0; index < 60; index++) {
    const sample = { seed: 5, epoch: 0, shard: 0, index };
    const [width, height] = [130 + 15 * index, 140 + 11 * index];
    const windows = augmenter.windows(width, height, sample);
    // In the order of the views; patches are cut from a canvas of 54 pixels.
    const sides = Object.values(CROPS.views).map(({ kind }) => (kind === 'image' ? 56 : 54));
    const finest = Math.min(...windows.map((window, i) => Math.min(window.width, window.height) / (sides[i] ?? 0)));
    const drafted = augmenter.draft(width, height, sample);
    expect(drafted).toBe(finest >= 4 ? 4 : finest >= 2 ? 2 : 1);
    drafts.add(drafted);
  }
  expect([...drafts].toSorted((a, b) => a - b)).toEqual([1, 2, 4]);
});

test.each([
  [709, 601],
  [373, 301],
])('views of a draft of %i x %i are within the tolerance of resampling, and those of its windows alone', async (columns, rows) => {
  const augmenter = await createAugmenter(CROPS);
  // Sides that are no multiple of 4 are rounded up in a draft, which must not move the crops.
  const odd = await sharp(jpeg).extract({ left: 0, top: 0, width: columns, height: rows }).jpeg({ quality: 90 }).toBuffer();
  const whole = await decodeImage(odd);
  for (let index = 0; index < 12; index++) {
    const sample = { seed: 5, epoch: 0, shard: 0, index };
    const draft = (width: number, height: number) => augmenter.draft(width, height, sample);
    const image = await decodeImage(odd, { decoder: 'wasm', draft });
    const times = draft(columns, rows);
    expect([image.width, image.height]).toEqual([Math.ceil(columns / times), Math.ceil(rows / times)]);
    const [got, wanted] = [rendered(augmenter, image, index), rendered(augmenter, whole, index)];
    const windows = (width: number, height: number) => augmenter.windows(width, height, sample);
    const partly = await decodeImage(odd, { decoder: 'wasm', draft, windows });
    for (const name of Object.keys(CROPS.views)) {
      const [some, all, exact] = [rendered(augmenter, partly, index)[name], got[name], wanted[name]];
      expect(Buffer.compare(some ?? Buffer.of(1), all ?? Buffer.of(2))).toBe(0);
      const distances = Array.from(exact ?? [], (value, i) => Math.abs(value - (all?.[i] ?? Number.NaN)));
      expect(distances.length).toBeGreaterThan(0);
      expect(distances.reduce((sum, x) => sum + x, 0) / distances.length).toBeLessThan(2.5);
      expect(distances.reduce((most, x) => Math.max(most, x), 0)).toBeLessThanOrEqual(48);
    }
  }
});
