/** The sheet of `detco views`, read back from its PNG: against the batch of a pipeline with the same options. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { RECIPE_NAMES } from '#dist/pipeline/augment/recipe-options.js';
import { type Batch, createPipeline, type Recipe, recipes, type View } from '#dist/pipeline/index.js';
import type { Pixels } from '#dist/pipeline/preview/canvas.js';
import { contactSheet } from '#dist/pipeline/preview/contact-sheet.js';
import type { Sheet } from '#dist/pipeline/preview/layout.js';
import { firstSamples, type SampleViews } from '#dist/pipeline/preview/sample-views.js';
import { fixtureSamples } from '../../support/images.js';
import { readLine, readLines } from '../../support/read-text.js';

const at = { seed: 7, epoch: 1 };
const COUNT = 3;
const SAMPLES = 24;

let folder: string;
let shards: string[];
/** Two shards of a few samples: an epoch is soon over. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-contact-sheet-'));
  const samples = await fixtureSamples(SAMPLES);
  const halves = [samples.slice(0, SAMPLES / 2), samples.slice(SAMPLES / 2)];
  shards = await Promise.all(
    halves.map(async (half, i) => {
      const path = join(folder, `${i}.tar`);
      const tar = pack();
      const done = finished(tar.pipe(createWriteStream(path)));
      for (const { key, label, image } of half) {
        tar.entry({ name: `${key}.jpg` }, image);
        tar.entry({ name: `${key}.cls` }, String(label));
      }
      tar.finalize();
      await done;
      return path;
    }),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const { view1, view2 } = recipes.simclr({ globalSize: 48 }).views;
const crop = { op: 'randomResizedCrop', scale: [0.05, 0.3], ratio: [3 / 4, 4 / 3] } as const;
const multicrop: Recipe = {
  name: 'swav',
  views: { view1, view2, small: { ...view1, kind: 'multicrop', crops: 5, size: 32, crop } },
};
const sizes = { globalSize: 48 };
const builtIn = [...RECIPE_NAMES, 'linear', 'evaluation'] as (keyof typeof recipes)[];
const RECIPES: readonly Recipe[] = [
  ...builtIn.map((name) => recipes[name](name === 'detco' ? { ...sizes, patchSize: 20 } : sizes)),
  recipes.detco({ globalSize: 128, patchSize: 64, randAugment: false }),
  multicrop,
];

/** What training has of these samples, and nothing of what draws the sheet. */
async function batchOf(recipe: Recipe): Promise<Pick<Batch, 'samples' | 'plans'> & { readonly views: Record<string, Uint8Array> }> {
  const pipeline = await createPipeline({ shards, recipe, seed: at.seed, batchSize: COUNT, epochs: at.epoch + 1, workers: 1 });
  for await (const { epoch, views, samples, plans } of pipeline) {
    if (epoch < at.epoch) continue;
    return { samples, plans, views: Object.fromEntries(Object.entries(views).map(([name, { data }]) => [name, data.slice()])) };
  }
  throw new Error('no batch');
}

async function decodedSheet(drawn: SampleViews): Promise<{ readonly pixels: Pixels; readonly places: Sheet['places'] }> {
  const { canvas, places } = await contactSheet(drawn);
  const { data, info } = await sharp(await canvas.png())
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(info.channels).toBe(3);
  return { pixels: { width: info.width, height: info.height, data }, places };
}

/** The picture at a place of the sheet; each of its pixels must be a square of one colour. */
function pictureAt({ width, data }: Pixels, { left, top, zoom }: Sheet['places'][number], side: number): Buffer {
  const picture = Buffer.alloc(3 * side * side);
  for (let y = 0; y < side * zoom; y++) {
    for (let x = 0; x < side * zoom; x++) {
      const from = 3 * ((top + y) * width + left + x);
      const to = 3 * (Math.floor(y / zoom) * side + Math.floor(x / zoom));
      if (x % zoom === 0 && y % zoom === 0) picture.set(data.subarray(from, from + 3), to);
      else if (!picture.subarray(to, to + 3).equals(data.subarray(from, from + 3))) throw new Error(`torn at ${x},${y}`);
    }
  }
  return picture;
}

/** That are shown of a sample. */
function picturesOf(view: View): number {
  if (view.kind === 'multicrop') return view.crops;
  return { image: 1, placed: 1, jigsaw: 9, rotations: 4 }[view.kind];
}

test.each(RECIPES.map((recipe) => [recipe.name, recipe] as const))('of %s has the pixels of the batch', async (_, recipe) => {
  const [drawn, batch] = await Promise.all([firstSamples({ shards, recipe, ...at }, COUNT), batchOf(recipe)]);
  expect(drawn.samples).toEqual(batch.samples);
  expect(drawn.plans).toEqual(batch.plans);
  const { pixels, places } = await decodedSheet(drawn);
  let compared = 0;
  for (const place of places) {
    const [name = '', view] = Object.entries(recipe.views)[place.row - 1] ?? [];
    if (!view) continue;
    const [side, count] = [view.kind === 'jigsaw' ? view.patchSize : view.size, picturesOf(view)];
    const from = 3 * side * side * (place.column * count + place.tile);
    const wanted = Buffer.from(batch.views[name]?.slice(from, from + 3 * side * side) ?? []);
    expect(pictureAt(pixels, place, side).equals(wanted)).toBe(true);
    compared++;
  }
  const pictures = Object.values(recipe.views).map(picturesOf);
  expect(compared).toBe(COUNT * pictures.reduce((sum, count) => sum + count, 0));
});

/** The middle of each side of a crop, on the image row, pixels of the sheet. */
function middles(box: { left: number; top: number; width: number; height: number }, scale: number): [number, number][] {
  const [left, top] = [Math.round(box.left * scale), Math.round(box.top * scale)];
  const [right, bottom] = [Math.round((box.left + box.width) * scale) - 1, Math.round((box.top + box.height) * scale) - 1];
  const [x, y] = [Math.round((left + right) / 2), Math.round((top + bottom) / 2)];
  return [
    [left, y],
    [right, y],
    [x, top],
    [x, bottom],
  ];
}

test('marks the crop of each view on the image, in a colour of its own', async () => {
  const whole = recipes.detco({ globalSize: 96, patchSize: 32 });
  const colours = new Map<string, string>();
  // What is drawn last covers the others: each view comes last once.
  const names = Object.keys(whole.views);
  const drawn = await firstSamples({ shards, recipe: whole, ...at }, COUNT);
  for (const last of names) {
    const order = [...names.filter((name) => name !== last), last];
    const views = Object.fromEntries(order.map((name) => [name, whole.views[name as keyof typeof whole.views]]));
    const { pixels, places } = await decodedSheet({ ...drawn, recipe: { name: 'turned', views } });
    const width = 192; // 96 pixels, shown twice as large, as wide as three patches of 64
    for (const { left, top, column } of places.filter(({ row }) => row === 0)) {
      const plan = drawn.plans[last]?.[column];
      if (!plan) throw new Error('no plan');
      const found = middles(plan.box, (width + 8) / 96).map(([x, y]) => {
        const from = 3 * ((top + y) * pixels.width + left + x);
        return [...pixels.data.subarray(from, from + 3)].join();
      });
      expect(new Set(found).size).toBe(1);
      colours.set(last, found[0] ?? '');
    }
  }
  // The fourth colour, whatever view comes last.
  expect(new Set(colours.values())).toEqual(new Set(['52,224,107']));
});

test('says below each picture what was drawn of it, and of which sample it is', async () => {
  const recipe = recipes.detco({ globalSize: 224, patchSize: 64 });
  const drawn = await firstSamples({ shards, recipe, seed: 0, epoch: 0 }, 6);
  const { pixels, places } = await decodedSheet(drawn);
  expect(readLine(pixels, 12, 12)).toBe('detco  seed 0  epoch 0');
  const ops = new Set<string>();
  for (const { row, column, tile, left, top, zoom } of places) {
    const plan = drawn.plans[Object.keys(recipe.views)[row - 1] ?? '']?.[column];
    if (row === 0) {
      const { key, label, shard } = drawn.samples[column] ?? { key: '', shard: '' };
      expect(readLines(pixels, left, top + 224 + 4, 37)).toEqual([key, shard.split('/').at(-1), `96 x 96  label ${label}`]);
    } else if (plan?.jigsaw) {
      const cell = plan.jigsaw.order[tile] ?? -1;
      expect(readLines(pixels, left, top + 64 + 4, 10, 1)).toEqual([`${cell} at ${plan.jigsaw.offsets[cell]?.join()}`]);
    } else if (plan) {
      const { box, steps } = plan;
      const words = readLines(pixels, left, top + 224 * zoom + 4, 37).join('  ');
      const numbers = steps.flatMap((step) =>
        Object.entries(step).filter(([name, value]) => typeof value === 'number' && !(step.op === 'solarizeAdd' && name === 'threshold')),
      );
      expect(words.startsWith(`crop ${box.width}x${box.height} at ${box.left},${box.top}`)).toBe(true);
      const told = words.split('  ').slice(1);
      expect(told).toHaveLength(steps.length);
      // In the order in which they were applied.
      const values = told.flatMap((word) => /-?\d+(\.\d+)?/.exec(word)?.[0] ?? []);
      expect(values).toHaveLength(numbers.length);
      for (const [i, [, value]] of numbers.entries()) expect(Math.abs(Number(values[i]) - Number(value))).toBeLessThanOrEqual(0.05);
      for (const { op } of steps) ops.add(op);
    }
  }
  // Enough of them, for what is compared to mean something.
  expect(ops.size).toBeGreaterThan(7);
});

test('shows names that are long or of other scripts without another font', async () => {
  const drawn = await firstSamples({ shards, recipe: recipes.mocoV2(sizes), ...at }, 1);
  const [sample] = drawn.samples;
  if (!sample) throw new Error('no sample');
  const key = `${'very-long/'.repeat(20)}end`;
  const long = await decodedSheet({ ...drawn, samples: [{ ...sample, key }] });
  const image = long.places.find(({ row }) => row === 0);
  const line = readLine(long.pixels, image?.left ?? 0, (image?.top ?? 0) + 160 + 4);
  expect(line).toMatch(/^very-long\/ve\.\.\..*end$/);
  // Each character that has no glyph is a box.
  const others = await decodedSheet({ ...drawn, samples: [{ ...sample, key: '犬\u{1f415}' }] });
  expect(() => readLine(others.pixels, image?.left ?? 0, (image?.top ?? 0) + 160 + 4)).toThrow('no character');
});

test('refuses a sheet that nothing could show, and says what to do', async () => {
  const drawn = await firstSamples({ shards, recipe: recipes.linear({ globalSize: 896 }), ...at }, 1);
  const many = Array.from({ length: 400 }, () => drawn.samples[0]).filter((sample) => sample !== undefined);
  const sheet = contactSheet({ ...drawn, samples: many });
  await expect(sheet).rejects.toThrow(
    /^the picture would have \d+ x \d+ pixels; draw fewer images \(--n\) or smaller views \(--global-size\)$/,
  );
});
