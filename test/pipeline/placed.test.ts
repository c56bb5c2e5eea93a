/** Views of kind `placed`: where a crop lies in its canvas, and that the pixels there are the crop's. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { execute } from '#dist/pipeline/augment/execute.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import { drawPicture } from '#dist/pipeline/augment/parameters.js';
import type { PlacedView } from '#dist/pipeline/augment/recipe.js';
import { createPipeline, type PipelineOptions, type Recipe, recipes } from '#dist/pipeline/index.js';
import { Random } from '#dist/common/random.js';
import { digestBatches } from '../support/batches.js';
import { FIXTURE } from '../support/images.js';

const crop = { op: 'randomResizedCrop', scale: [0.2, 1], ratio: [1 / 2, 2] } as const;
const view: PlacedView = { kind: 'placed', size: 32, crop, sides: [12, 30], operations: [] };
const side = fc.integer({ min: 1, max: 900 });

test('a crop keeps its shape in a box that lies in the canvas and fits into two sides', () => {
  fc.assert(
    fc.property(side, side, fc.integer({ min: 0, max: 0xffff_ffff }), (width, height, word) => {
      const { crop: plan, placed } = drawPicture(view, width, height, new Random(word));
      if (!placed) throw new Error('nothing was placed');
      const { window, scaleX, scaleY } = plan;
      expect(placed.left >= 0 && placed.top >= 0).toBe(true);
      expect(placed.left + placed.width <= 32 && placed.top + placed.height <= 32).toBe(true);
      expect(Math.max(placed.width, placed.height)).toBeLessThanOrEqual(30);
      // Each side is the crop's times one number, up to half a pixel.
      const times = Math.max(placed.width, placed.height) / Math.max(window.width, window.height);
      const off = Math.max(Math.abs(placed.width - window.width * times), Math.abs(placed.height - window.height * times));
      expect(off <= 1 || Math.min(placed.width, placed.height) === 1).toBe(true);
      // The corners of the box are those of the crop.
      expect(plan.left + placed.left * scaleX).toBeCloseTo(window.left, 6);
      expect(plan.top + placed.top * scaleY).toBeCloseTo(window.top, 6);
      expect(placed.width * scaleX).toBeCloseTo(window.width, 6);
      expect(placed.height * scaleY).toBeCloseTo(window.height, 6);
    }),
  );
});

test('boxes come in all sizes, shapes and places', () => {
  const boxes = Array.from({ length: 2000 }, (_, i) => drawPicture(view, 500, 375, new Random(3, i)).placed);
  const all = (of: (box: NonNullable<(typeof boxes)[number]>) => number): number[] => boxes.flatMap((box) => (box ? [of(box)] : []));
  expect(Math.max(...all(({ width }) => width))).toBe(30);
  expect(Math.max(...all(({ height }) => height))).toBe(30);
  expect(Math.min(...all(({ width }) => width))).toBeLessThan(10);
  expect(Math.min(...all(({ left }) => left))).toBe(0);
  expect(Math.max(...all(({ left, width }) => left + width))).toBe(32);
  expect(Math.min(...all(({ width, height }) => width / height))).toBeLessThan(0.6);
  expect(Math.max(...all(({ width, height }) => width / height))).toBeGreaterThan(1.7);
});

describe('the pixels of a canvas', () => {
  const [width, height] = [61, 47];
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * i * 7 + (i >> 3)) & 255);
  let kernels: Kernels;
  beforeAll(async () => {
    kernels = await Kernels.load(64);
  });

  /** The pixels of a picture, [size, size, 3]. */
  function rendered(plan: Parameters<typeof execute>[2]): Uint8Array {
    const out = new Uint8Array(3 * plan.crop.size ** 2);
    const source = kernels.load(width, height, data);
    execute(kernels, source, plan, out);
    kernels.unload(source);
    return out;
  }

  test.each([false, true])('are those of the crop in the box; mirrored: %s', (flipped) => {
    const steps = flipped ? [{ op: 'horizontalFlip' } as const] : [];
    let boxes = 0;
    for (let word = 0; boxes < 40; word++) {
      const { crop: plan, placed } = drawPicture(view, width, height, new Random(9, word));
      const { window } = plan;
      if (!placed || placed.width !== placed.height) continue;
      boxes++;
      const size = placed.width;
      const alone = { window, left: window.left, top: window.top, scaleX: window.width / size, scaleY: window.height / size, size };
      const [canvas, wanted] = [rendered({ crop: plan, steps }), rendered({ crop: alone, steps })];
      const left = flipped ? 32 - placed.left - size : placed.left;
      // Around the box the canvas has what nobody looks at, but the same wherever it is made.
      const expected = canvas.map((level, i) => {
        const [x, y] = [(Math.floor(i / 3) % 32) - left, Math.floor(i / 96) - placed.top];
        return x >= 0 && x < size && y >= 0 && y < size ? (wanted[3 * (y * size + x) + (i % 3)] ?? -1) : level;
      });
      expect(Buffer.compare(canvas, expected)).toBe(0);
      expect(Buffer.compare(canvas, rendered({ crop: plan, steps }))).toBe(0);
    }
  });
});

const recipe = recipes.insloc({ globalSize: 32 });
const options: PipelineOptions = { shards: FIXTURE, recipe, batchSize: 8, lanes: 2, workers: 1, epochs: 1, seed: 4 };

test('batches are the same with any number of workers, and resumed', async () => {
  const whole = await digestBatches(options);
  expect(await digestBatches({ ...options, workers: 2 })).toEqual(whole);
  const [first] = whole;
  for await (const { state } of await createPipeline(options)) {
    expect(first).toBeDefined();
    expect(await digestBatches({ ...options, resume: state })).toEqual(whole.slice(1));
    break;
  }
});

test('plans say where each crop lies, mirrored with its picture', async () => {
  const { foregroundQ } = recipe.views;
  const flat: Recipe = {
    name: 'flat',
    views: { foregroundQ: { ...foregroundQ, operations: [{ op: 'horizontalFlip', p: 0.5 }] } },
  };
  const flips = new Set<boolean>();
  for await (const { plans, samples } of await createPipeline({ ...options, recipe: flat })) {
    for (const [i, plan] of (plans['foregroundQ'] ?? []).entries()) {
      if (!plan.placed) throw new Error('a placed view has no box');
      const { left, width, top, height } = plan.placed;
      expect(samples[i]).toBeDefined();
      expect(left >= 0 && top >= 0 && left + width <= 32 && top + height <= 32).toBe(true);
      flips.add(plan.flipped);
    }
  }
  expect(flips).toEqual(new Set([false, true]));
});
