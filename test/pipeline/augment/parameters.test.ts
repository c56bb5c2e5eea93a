import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { centreCrop, drawCrop, drawPicture, type Step, type PicturePlan } from '#dist/pipeline/augment/parameters.js';
import type { Mask, Operation, View } from '#dist/pipeline/augment/recipe.js';
import { recipes } from '#dist/pipeline/augment/recipes.js';
import { Random } from '#dist/common/random.js';

const CROP = { op: 'randomResizedCrop', scale: [0.2, 1], ratio: [3 / 4, 4 / 3] } as const;
const side = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3000 }));
const seed = fc.integer({ min: 0, max: 0xffff_ffff });

/** Plans of many samples for a 500 x 375 image. */
function plans(view: View, n: number): PicturePlan[] {
  return Array.from({ length: n }, (_, i) => drawPicture(view, 500, 375, new Random(3, 0, 0, i)));
}

function withOperations(...operations: Operation[]): View {
  return { kind: 'image', size: 32, crop: CROP, operations };
}

/** Whether a share observed in n draws is within four standard errors of p. */
function expectShare(hits: number, n: number, p: number): void {
  expect(Math.abs(hits / n - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / n) + 1e-12);
}

function counts(names: readonly string[]): Map<string, number> {
  const held = new Map<string, number>();
  for (const name of names) held.set(name, (held.get(name) ?? 0) + 1);
  return held;
}

describe('RandomResizedCrop', () => {
  test('lies inside any image, even one pixel wide', () => {
    fc.assert(
      fc.property(side, side, seed, (width, height, word) => {
        const { window, left, top, scaleX, scaleY, size } = drawCrop(CROP, width, height, 224, new Random(word));
        expect(Object.values(window).every(Number.isInteger)).toBe(true);
        expect(window.left >= 0 && window.top >= 0 && window.width >= 1 && window.height >= 1).toBe(true);
        expect(window.left + window.width <= width && window.top + window.height <= height).toBe(true);
        expect([left, top]).toEqual([window.left, window.top]);
        expect(scaleX * size).toBeCloseTo(window.width, 9);
        expect(scaleY * size).toBeCloseTo(window.height, 9);
      }),
    );
  });

  test('keeps to the asked share of the area and aspect ratios, up to rounding', () => {
    fc.assert(
      fc.property(seed, (word) => {
        const { window } = drawCrop(CROP, 500, 375, 224, new Random(word));
        const share = (window.width * window.height) / (500 * 375);
        expect(share).toBeGreaterThan(0.2 * 0.98);
        expect(share).toBeLessThanOrEqual(1);
        const ratio = window.width / window.height;
        expect(ratio).toBeGreaterThan(0.75 * 0.98);
        expect(ratio).toBeLessThan((4 / 3) * 1.02);
      }),
    );
  });

  test('falls back to the largest central crop when no try fits, as torchvision', () => {
    const { window } = drawCrop(CROP, 1000, 10, 224, new Random(1));
    expect(window).toEqual({ left: 493, top: 0, width: 13, height: 10 });
    const tall = drawCrop(CROP, 1, 400, 224, new Random(1)).window;
    expect(tall).toEqual({ left: 0, top: 199, width: 1, height: 1 });
  });
});

test('the evaluation crop is Resize(256) and CenterCrop(224) in one', () => {
  const crop = centreCrop({ op: 'centerCrop', fraction: 224 / 256 }, 500, 375, 224);
  // torchvision resizes to 341 x 256 and cuts at (58, 16): round((341 - 224) / 2) = 58, half to even.
  expect(crop.scaleX).toBeCloseTo(500 / 341, 12);
  expect(crop.scaleY).toBeCloseTo(375 / 256, 12);
  expect(crop.left).toBeCloseTo(58 * (500 / 341), 12);
  expect(crop.top).toBeCloseTo(16 * (375 / 256), 12);
  expect(crop.window).toEqual({ left: 0, top: 0, width: 500, height: 375 });
});

describe('ColorJitter', () => {
  const jitter = {
    op: 'colorJitter',
    brightness: 0.4,
    contrast: 0.4,
    saturation: 0.4,
    hue: 0.1,
    p: 0.8,
  } as const;
  const drawn = plans(withOperations(jitter), 4000).map(({ steps }) => steps);
  const applied = drawn.filter((steps) => steps.length > 0);

  test('is applied with its probability, all four operations together', () => {
    expectShare(applied.length, drawn.length, 0.8);
    expect(applied.every((steps) => new Set(steps.map(({ op }) => op)).size === 4)).toBe(true);
  });

  test('takes the four operations in every order, equally often', () => {
    const orders = counts(applied.map((steps) => steps.map(({ op }) => op).join()));
    expect(orders.size).toBe(24);
    for (const hits of orders.values()) expectShare(hits, applied.length, 1 / 24);
  });

  test('draws factors over the whole of [1 - x, 1 + x] and hue over [-x, x]', () => {
    for (const [op, low, high] of [
      ['brightness', 0.6, 1.4],
      ['contrast', 0.6, 1.4],
      ['saturation', 0.6, 1.4],
      ['hue', -0.1, 0.1],
    ] as const) {
      const values = applied
        .flat()
        .flatMap((step) => (step.op !== op ? [] : 'factor' in step ? [step.factor] : 'shift' in step ? [step.shift] : []));
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...values)).toBeLessThan(high);
      expectShare(values.filter((value) => value < low + (high - low) / 4).length, values.length, 0.25);
    }
  });

  test('cuts factors off at 0', () => {
    const strong = plans(withOperations({ ...jitter, brightness: 1.5, p: 1 }), 200).flatMap(({ steps }) => steps);
    const factors = strong.flatMap((step) => (step.op === 'brightness' ? [step.factor] : []));
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(0);
  });
});

test('solarize is drawn with its probability and keeps its threshold', () => {
  const drawn = plans(withOperations({ op: 'solarize', threshold: 128, p: 0.2 }), 4000).flatMap(({ steps }) => steps);
  expectShare(drawn.length, 4000, 0.2);
  expect(new Set(drawn.map((step) => JSON.stringify(step)))).toEqual(new Set(['{"op":"solarize","threshold":128}']));
});

describe('mask', () => {
  const masksOf = (mask: Omit<Mask, 'op'>, n: number) =>
    plans(withOperations({ op: 'mask', ...mask }), n).flatMap(({ steps }) => steps.flatMap((step) => (step.op === 'mask' ? [step] : [])));

  test('is drawn within the bounds of torchvision: share of the area, height over width, sides below those of the picture', () => {
    const [scale, ratio] = [[0.05, 0.3] as const, [0.5, 3] as const];
    const drawn = masksOf({ scale, ratio }, 3000);
    expect(drawn).toHaveLength(3000);
    for (const { left, top, width, height } of drawn) {
      expect([left, top, width, height].every(Number.isInteger)).toBe(true);
      expect(left >= 0 && top >= 0 && left + width <= 32 && top + height <= 32 && width < 32 && height < 32).toBe(true);
      // Sides are rounded to pixels.
      expect((width - 0.5) * (height - 0.5)).toBeLessThanOrEqual(scale[1] * 1024);
      expect((width + 0.5) * (height + 0.5)).toBeGreaterThanOrEqual(scale[0] * 1024);
      expect((height + 0.5) / (width - 0.5)).toBeGreaterThanOrEqual(ratio[0]);
      expect((height - 0.5) / (width + 0.5)).toBeLessThanOrEqual(ratio[1]);
    }
    // Shares are uniform, and aspect ratios are so in their logarithm.
    const shares = drawn.map(({ width, height }) => (width * height) / 1024);
    expect(shares.reduce((sum, share) => sum + share, 0) / 3000).toBeCloseTo(0.175, 1.5);
    expectShare(drawn.filter(({ width, height }) => height > Math.sqrt(1.5) * width).length, 3000, 0.5);
    // They reach every edge.
    expect(drawn.some(({ left }) => left === 0) && drawn.some(({ left, width }) => left + width === 32)).toBe(true);
    expect(drawn.some(({ top }) => top === 0) && drawn.some(({ top, height }) => top + height === 32)).toBe(true);
  });

  test('that would not fit is cut to the picture', () => {
    const drawn = masksOf({ scale: [0.9, 0.9], ratio: [50, 50] }, 50);
    expect(drawn).toHaveLength(50);
    for (const { height, width } of drawn) expect([height, width]).toEqual([31, 4]);
  });

  test('changes nothing that is drawn before it', () => {
    const { op: _, ...block } = { op: 'mask', scale: [0.1, 0.2], ratio: [1, 1] } as const;
    const flip = { op: 'horizontalFlip', p: 0.5 } as const;
    const without = plans(withOperations(flip), 50);
    const masked = plans(withOperations(flip, { op: 'mask', ...block }, { op: 'mask', ...block }), 50);
    expect(masked.map(({ crop, steps }) => ({ crop, steps: steps.slice(0, -2) }))).toEqual(without);
  });
});

describe('RandAugment', () => {
  const options = { op: 'randAugment', n: 2, magnitude: 10, magnitudeStd: 0.5, p: 0.5 } as const;
  const n = 6000;
  const steps: Step[] = plans(withOperations(options), n).flatMap((plan) => plan.steps);
  const values = (op: string, field: string): number[] =>
    steps.filter((step) => step.op === op).map((step) => Number(Reflect.get(step, field)));

  test('picks each of 15 operations equally often and applies half of them', () => {
    expectShare(steps.length, 2 * n, 0.5);
    const groups = counts(steps.map(({ op }) => op));
    expect(groups.size).toBe(15);
    for (const hits of groups.values()) expectShare(hits, 2 * n, 0.5 / 15);
  });

  test('negates the geometric operations half of the time, within their ranges', () => {
    for (const [op, field, limit] of [
      ['rotate', 'degrees', 30],
      ['shearX', 'shear', 0.3],
      ['shearY', 'shear', 0.3],
      ['translateX', 'fraction', 0.45],
      ['translateY', 'fraction', 0.45],
    ] as const) {
      const drawn = values(op, field);
      expectShare(drawn.filter((value) => value < 0).length, drawn.length, 0.5);
      expect(Math.max(...drawn.map(Math.abs))).toBe(limit);
      expect(Math.min(...drawn.map(Math.abs))).toBeGreaterThan(limit * 0.75);
    }
  });

  test('clips the magnitude at 10, which N(10, 0.5) passes half of the time', () => {
    const factors = values('sharpness', 'factor');
    const top = Math.max(...factors);
    expect(top).toBeCloseTo(1.9, 12);
    expectShare(factors.filter((factor) => factor === top).length, factors.length, 0.5);
    expect(Math.max(...values('posterize', 'bits'))).toBe(4);
    expect(Math.max(...values('solarize', 'threshold'))).toBe(256);
    expect(Math.max(...values('solarizeAdd', 'add'))).toBe(110);
  });

  test('scales with the magnitude', () => {
    const half = plans(withOperations({ ...options, magnitude: 5, magnitudeStd: 0, p: 1, n: 16 }), 100).flatMap((plan) => plan.steps);
    expect(half.filter(({ op }) => op === 'posterize')).toContainEqual({
      op: 'posterize',
      bits: 2,
    });
    expect(half).toContainEqual({ op: 'solarize', threshold: 128 });
    expect(half).toContainEqual({ op: 'solarizeAdd', add: 55, threshold: 128 });
    expect(half).toContainEqual({ op: 'saturation', factor: 1 });
    expect(half).toContainEqual({ op: 'rotate', degrees: -15 });
  });
});

describe('BYOL', () => {
  const { view1, view2 } = recipes.byol().views;
  const [first, second] = [plans(view1, 4000), plans(view2, 4000)];
  const having = (drawn: readonly PicturePlan[], op: Step['op']): number =>
    drawn.filter(({ steps }) => steps.some((step) => step.op === op)).length;

  test('draws its two views unlike each other: one always blurred, one seldom and sometimes solarized', () => {
    expect(having(first, 'gaussianBlur')).toBe(4000);
    expect(having(first, 'solarize')).toBe(0);
    expectShare(having(second, 'gaussianBlur'), 4000, 0.1);
    expectShare(having(second, 'solarize'), 4000, 0.2);
  });

  test('flips, colours, blurs and solarizes in this order', () => {
    const order = ['horizontalFlip', 'hue', 'grayscale', 'gaussianBlur', 'solarize'];
    const kept = second.map(({ steps }) => steps.map(({ op }) => order.indexOf(op)).filter((place) => place >= 0));
    for (const places of kept) expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(Math.max(...kept.map(({ length }) => length))).toBe(5);
  });
});

test("SimCLR's strength scales its colour distortion, 0.8, 0.8, 0.8 and 0.2 at strength 1", () => {
  const jitter = (strength?: number) => recipes.simclr({ ...(strength && { strength }) }).views.view1.operations[1];
  expect(jitter()).toEqual({ op: 'colorJitter', brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2, p: 0.8 });
  expect(jitter(0.5)).toEqual({ op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, p: 0.8 });
  expect(recipes.simclr().views.view2).toEqual(recipes.simclr().views.view1);
});

test("SwAV's crops show large and small parts, coloured as SimCLR's views", () => {
  const { global, local } = recipes.swav({ globalSize: 48, localSize: 24, crops: 4 }).views;
  expect([global, local].map(({ crops, size }) => [crops, size])).toEqual([
    [2, 48],
    [4, 24],
  ]);
  const { operations } = recipes.simclr({ globalSize: 48 }).views.view1;
  for (const view of [global, local]) expect(view.operations).toEqual(operations);
  const shares = (view: View) => plans(view, 2000).map(({ crop: { window } }) => (window.width * window.height) / (500 * 375));
  for (const [view, low, high] of [
    [global, 0.14, 1],
    [local, 0.05, 0.14],
  ] as const) {
    expect(Math.min(...shares(view))).toBeGreaterThan(low * 0.97);
    expect(Math.max(...shares(view))).toBeLessThan(high * 1.03);
  }
});

test("PIRL's image and patches are coloured alike, with crops of their own", () => {
  const { image, patches } = recipes.pirl({ globalSize: 48, patchSize: 24 }).views;
  const chain = [
    { op: 'colorJitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.2, p: 1 },
    { op: 'grayscale', p: 0.2 },
    { op: 'horizontalFlip', p: 0.5 },
  ];
  expect([image.operations, patches.operations]).toEqual([chain, chain]);
  expect([image.crop, patches.crop]).toMatchObject([{ scale: [0.08, 1] }, { scale: [0.6, 1] }]);
  expect([image.size, patches.patchSize, patches.cell]).toEqual([48, 24, 32]);
  expect(recipes.detco({ patchSize: 24 }).views.patchesQ.operations).toContainEqual(expect.objectContaining({ op: 'gaussianBlur' }));
});

test('jigsaw offsets reach every position of a cell, 0 to 21, and the order is a permutation', () => {
  const view = recipes.detco().views.patchesQ;
  if (view === undefined) throw new Error('recipes.detco() has no patchesQ');
  const jigsaws = plans(view, 300).map(({ jigsaw }) => jigsaw);
  const offsets = new Set(jigsaws.flatMap((jigsaw) => jigsaw?.offsets.flat() ?? []));
  expect(Array.from(offsets).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 22 }, (_, i) => i));
  for (const jigsaw of jigsaws) expect(jigsaw?.order.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(new Set(jigsaws.map((jigsaw) => jigsaw?.order.join())).size).toBeGreaterThan(290);
});

test('a plan survives JSON, so it can be kept and replayed', () => {
  for (const view of Object.values(recipes.detco().views)) {
    const plan = drawPicture(view, 640, 480, new Random(1));
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  }
});
