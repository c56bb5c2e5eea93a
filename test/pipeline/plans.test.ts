/** What a batch says of how its pictures were made, against crops that sharp makes of the same images. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { type Batch, createPipeline, type DrawnPicture, type PipelineOptions, type Recipe, recipes } from '#dist/pipeline/index.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { FIXTURE } from '../support/images.js';

const crop = { op: 'randomResizedCrop', scale: [0.2, 1], ratio: [3 / 4, 4 / 3] } as const;
const operations = [{ op: 'horizontalFlip', p: 0.5 }] as const;
/** Crops and flips alone, of smaller pictures than any box: what sharp enlarges it moves (findings/sharp-enlarge-shift.sh). */
const recipe: Recipe = {
  name: 'plain',
  views: {
    image: { kind: 'image', size: 32, crop, operations },
    centre: { kind: 'image', size: 28, crop: { op: 'centerCrop', fraction: 7 / 8 }, operations: [] },
    crops: { kind: 'multicrop', crops: 3, size: 24, crop: { ...crop, scale: [0.3, 0.5] }, operations },
    patches: { kind: 'jigsaw', patchSize: 8, cell: 10, crop, operations },
  },
};

let folder: string;
let large: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-plans-'));
  large = join(folder, 'large.tar');
  await writeLargeShard(large);
});
afterAll(() => rm(folder, { recursive: true }));

/** Two photographs that are decoded smaller for views as small as these. */
async function writeLargeShard(path: string): Promise<void> {
  const tar = pack();
  const done = finished(tar.pipe(createWriteStream(path)));
  for (const [key, width, height] of [
    ['wide', 1920, 1280],
    ['high', 960, 1440],
  ] as const) {
    const wave = (i: number): number => 128 + 60 * Math.sin((i % width) / 61) + 60 * Math.cos(Math.floor(i / width) / 83);
    const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => wave(Math.floor(i / 3)));
    tar.entry(
      { name: `${key}.jpg` },
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .jpeg()
        .toBuffer(),
    );
  }
  tar.finalize();
  await done;
}

async function firstBatch(
  options: PipelineOptions,
): Promise<Pick<Batch, 'samples' | 'plans'> & { readonly views: Record<string, Buffer> }> {
  for await (const batch of await createPipeline(options)) {
    const views = Object.fromEntries(Object.entries(batch.views).map(([name, { data }]) => [name, Buffer.from(data)]));
    return { samples: batch.samples, plans: batch.plans, views };
  }
  throw new Error('no batch');
}

async function imagesOf(shard: string): Promise<Map<string, Uint8Array>> {
  const images = new Map<string, Uint8Array>();
  for await (const { key, image } of readShard(shard)) images.set(key, image);
  return images;
}

/** `size` x `size` pixels of the box of a plan, by libvips. */
async function cropped(image: Uint8Array, { box, flipped }: DrawnPicture, size: number): Promise<Buffer> {
  const resized = sharp(image).extract(box).resize(size, size, { fit: 'fill', kernel: 'linear' });
  return await (flipped ? resized.flop() : resized).removeAlpha().raw().toBuffer();
}

function meanDifference(got: Uint8Array, wanted: Uint8Array): number {
  expect(got).toHaveLength(wanted.length);
  return got.reduce((sum, level, i) => sum + Math.abs(level - (wanted[i] ?? Number.NaN)), 0) / got.length;
}

/** Nine patches of a canvas, one after the other. */
function cut(canvas: Buffer, { order, offsets, cell, patchSize }: NonNullable<DrawnPicture['jigsaw']>): Buffer {
  const line = 3 * 3 * cell;
  const lines = order.flatMap((from) => {
    const [x, y] = offsets[from] ?? [0, 0];
    const at = (Math.floor(from / 3) * cell + y) * line + 3 * ((from % 3) * cell + x);
    return Array.from({ length: patchSize }, (_, i) => canvas.subarray(at + i * line, at + i * line + 3 * patchSize));
  });
  return Buffer.concat(lines);
}

describe.each([
  ['images that are decoded whole', () => FIXTURE, 16],
  ['images that are decoded smaller', () => large, 2],
])('the plans of %s', (_, shard, batchSize) => {
  const options = (): PipelineOptions => ({ shards: shard(), recipe, batchSize, workers: 1, lanes: 1, seed: 5 });

  test('say which box of the image each picture is, and whether it is mirrored', async () => {
    const images = await imagesOf(shard());
    const { samples, plans, views } = await firstBatch(options());
    const mirrored: number[] = [];
    for (const [name, size, pictures] of [
      ['image', 32, 1],
      ['centre', 28, 1],
      ['crops', 24, 3],
    ] as const) {
      const drawn = plans[name] ?? [];
      expect(drawn).toHaveLength(batchSize * pictures);
      const bytes = 3 * size * size;
      for (const [i, plan] of drawn.entries()) {
        const image = images.get(samples[Math.floor(i / pictures)]?.key ?? '') ?? new Uint8Array();
        const { width, height } = await sharp(image).metadata();
        expect(plan.image).toEqual({ width, height });
        const got = views[name]?.subarray(i * bytes, (i + 1) * bytes) ?? new Uint8Array();
        expect(meanDifference(got, await cropped(image, plan, size))).toBeLessThan(1);
        mirrored.push(meanDifference(got, await cropped(image, { ...plan, flipped: !plan.flipped }, size)));
      }
    }
    expect(mirrored.reduce((sum, one) => sum + one) / mirrored.length).toBeGreaterThan(10);
    expect(new Set(plans['crops']?.map(({ flipped }) => flipped))).toEqual(new Set([false, true]));
  });

  test('of a jigsaw view say how the canvas is cut', async () => {
    const images = await imagesOf(shard());
    const { samples, plans, views } = await firstBatch(options());
    expect(plans['patches']).toHaveLength(batchSize);
    for (const [i, plan] of (plans['patches'] ?? []).entries()) {
      const canvas = await cropped(images.get(samples[i]?.key ?? '') ?? new Uint8Array(), plan, 30);
      if (!plan.jigsaw) throw new Error('a jigsaw view has no jigsaw plan');
      const patches = cut(canvas, plan.jigsaw);
      const got = views['patches']?.subarray(i * patches.length, (i + 1) * patches.length) ?? new Uint8Array();
      expect(meanDifference(got, patches)).toBeLessThan(1);
    }
  });

  test('are the same when views are left for a device to finish', async () => {
    const { plans } = await firstBatch(options());
    expect((await firstBatch({ ...options(), augment: 'device' })).plans).toEqual(plans);
  });
});

test('plans name all that was drawn, of each batch its own, and can be read after the release', async () => {
  const detco = recipes.detco({ globalSize: 16, patchSize: 8 });
  const batches: Batch[] = [];
  for await (const batch of await createPipeline({ shards: FIXTURE, recipe: detco, batchSize: 64, epochs: 2, workers: 2 }))
    batches.push(batch);
  const steps = batches.map(({ plans }) => JSON.stringify(plans['globalQ']?.map((plan) => plan.steps)));
  expect(new Set(steps).size).toBe(batches.length);
  for (const op of ['hue', 'gaussianBlur', 'horizontalFlip', 'rotate']) expect(steps[0]).toContain(op);
});
