/** What a device does with the steps that workers leave to it, against the workers' own kernels. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, IMAGE_MEAN, IMAGE_STD, type PictureStep, selectEngine } from '#dist/engine/index.js';
import { defer, deferredRecipe } from '#dist/pipeline/augment/defer.js';
import { applyStep, execute } from '#dist/pipeline/augment/execute.js';
import { Kernels } from '#dist/pipeline/augment/kernels.js';
import { drawPicture, type PicturePlan, type Step } from '#dist/pipeline/augment/parameters.js';
import { createPipeline, recipes, viewBytes, viewShape, type PipelineOptions, type Recipe, type View } from '#dist/pipeline/index.js';
import { Random } from '#dist/common/random.js';
import { augmentOnDevice } from '#dist/train/device-augment.js';
import { whereAvailable } from '../engine/available.js';

const golden = JSON.parse(readFileSync(new URL('../../fixtures/golden/augment.json', import.meta.url), 'utf8')) as {
  readonly width: number;
  readonly height: number;
  readonly input: string;
};
const { width, height } = golden;
const input = new Uint8Array(Buffer.from(golden.input, 'base64'));

const STEPS: readonly PictureStep[] = [
  { op: 'brightness', factor: 0.7 },
  { op: 'brightness', factor: 1.37 },
  { op: 'contrast', factor: 0.63 },
  { op: 'contrast', factor: 1.4 },
  { op: 'saturation', factor: 0.1 },
  { op: 'saturation', factor: 1.9 },
  { op: 'hue', shift: 0.1 },
  { op: 'hue', shift: -0.07 },
  { op: 'hue', shift: 0.49 },
  { op: 'grayscale' },
  { op: 'gaussianBlur', sigma: 0.1 },
  { op: 'gaussianBlur', sigma: 0.9 },
  { op: 'gaussianBlur', sigma: 2 },
  { op: 'autoContrast' },
  { op: 'invert' },
  { op: 'posterize', bits: 4 },
  { op: 'posterize', bits: 0 },
  { op: 'solarize', threshold: 100 },
  { op: 'solarize', threshold: 256 },
  { op: 'solarizeAdd', add: 90, threshold: 128 },
  { op: 'sharpness', factor: 0.2 },
  { op: 'sharpness', factor: 1.9 },
  { op: 'equalize' },
  { op: 'rotate', degrees: 23 },
  { op: 'rotate', degrees: -30 },
  { op: 'shearX', shear: 0.3 },
  { op: 'shearY', shear: -0.11 },
  { op: 'translateX', fraction: 0.45 },
  { op: 'translateY', fraction: -0.137 },
];

const CROP = { op: 'randomResizedCrop', scale: [0.05, 0.14], ratio: [3 / 4, 4 / 3] } as const;

let kernels: Kernels;
beforeAll(async () => {
  kernels = await Kernels.load(64);
});

function byKernels(image: Uint8Array, steps: readonly Step[]): Uint8Array {
  const out = new Uint8Array(image.length);
  kernels.setImage(width, height, image);
  for (const step of steps) applyStep(kernels, step);
  kernels.read(out);
  return out;
}

function difference(got: ArrayLike<number>, wanted: ArrayLike<number>): { readonly mean: number; readonly max: number } {
  expect(got).toHaveLength(wanted.length);
  const distances = Float64Array.from(wanted, (value, i) => Math.abs(value - (got[i] ?? Number.NaN)));
  return { mean: distances.reduce((sum, x) => sum + x, 0) / distances.length, max: distances.reduce((most, x) => Math.max(most, x), 0) };
}

const detco = recipes.detco({ globalSize: 32, patchSize: 16 });
const { view1, view2 } = recipes.byol({ globalSize: 32 }).views;
const crops: Recipe = { name: 'crops', views: { view1, crops: { ...view2, kind: 'multicrop', crops: 3, size: 16, crop: CROP } } };
const turned: Recipe = {
  name: 'turned',
  views: { rotations: { ...view1, kind: 'rotations', crop: CROP } },
};

const torch = await whereAvailable('torch');

describe('engine wasm', () => finishesViews('wasm'));
torch.describe(`engine torch${torch.note}`, () => finishesViews('torch'));

function finishesViews(name: 'wasm' | 'torch'): void {
  let engine: Engine;
  beforeAll(async () => {
    engine = await selectEngine(name);
  });
  afterAll(() => engine.dispose());

  /** What the engine makes of pictures, as levels again. */
  const levelsOf = (steps: readonly (readonly PictureStep[])[], pictures: tf.Tensor4D): tf.Tensor4D =>
    tf.tidy(() => tf.round(tf.mul(tf.add(tf.mul(engine.augment(pictures, steps), IMAGE_STD), IMAGE_MEAN), 255)));

  describe('one operation', () => {
    test.each(STEPS.map((step) => [JSON.stringify(step), step] as const))('%s', (_, step) => {
      const images = tf.tensor4d(input, [1, height, width, 3], 'float32');
      const done = levelsOf([[step]], images);
      const { mean, max } = difference(done.dataSync(), byKernels(input, [step]));
      expect(mean).toBeLessThanOrEqual(step.op === 'gaussianBlur' ? 0.2 : 0.1);
      expect(max).toBeLessThanOrEqual(2);
      tf.dispose([images, done]);
    });
  });

  test('samples with different steps in one batch do not touch each other', () => {
    const lists: readonly (readonly PictureStep[])[] = [
      [],
      ...STEPS.map((_, i) => STEPS.slice(i, i + 1 + (i % 3))),
      [{ op: 'invert' }, { op: 'invert' }],
    ];
    const images = tf.tidy(() => tf.tile(tf.tensor4d(input, [1, height, width, 3], 'float32'), [lists.length, 1, 1, 1])) as tf.Tensor4D;
    const before = tf.memory().numTensors;
    const done = levelsOf(lists, images);
    expect(tf.memory().numTensors).toBe(before + 1);
    const bytes = done.dataSync();
    lists.forEach((steps, row) => {
      const alone = levelsOf([steps], tf.tensor4d(input, [1, height, width, 3], 'float32'));
      expect(difference(bytes.slice(row * input.length, (row + 1) * input.length), alone.dataSync()).max).toBe(0);
      alone.dispose();
    });
  });

  test('a step that only workers can do is refused by name', () => {
    const image = tf.zeros([1, 4, 4, 3]) as tf.Tensor4D;
    expect(() => augmentOnDevice(image, [{ steps: [{ op: 'lab' }] }], engine)).toThrow(
      /"lab" cannot be left to the device; expected one of brightness/,
    );
  });

  /** Whole views of real draws: what workers render alone, and what they and the device render together. */
  describe('a view finished by the device is the view that workers make', () => {
    const size = 48;
    const recipe: Recipe = recipes.detco({ globalSize: size, patchSize: 16 });
    const deferred = deferredRecipe(recipe);

    /** Levels by which what the worker and the device make together is off the worker's own, on average. */
    const meanDistance = (plan: PicturePlan, view: View, canvas: View): number => {
      const source = kernels.load(width, height, input);
      const wanted = new Uint8Array(viewBytes(view));
      execute(kernels, source, plan, wanted);
      const { now, pending } = defer(plan);
      const half = new Uint8Array(viewBytes(canvas));
      execute(kernels, source, now, half);
      const uploaded = engine.upload(half, [1, ...viewShape(canvas)], 'levels') as tf.Tensor4D;
      const finished = augmentOnDevice(uploaded, [pending], engine);
      expect(finished.shape).toEqual([1, ...viewShape(view)]);
      const expected = engine.upload(wanted, [1, ...viewShape(view)]);
      const levels = tf.tidy(() => tf.mul(tf.abs(tf.sub(finished as tf.Tensor, expected)), 0.225 * 255));
      const distances = Float32Array.from(levels.dataSync());
      tf.dispose([uploaded, finished, expected, levels]);
      return distances.reduce((sum, x) => sum + x, 0) / distances.length;
    };

    test.each(['globalQ', 'patchesQ'])('%s', (name) => {
      const view = recipe.views[name];
      const canvas = deferred.views[name];
      if (!view || !canvas) throw new Error(`no view ${name}`);
      const means = Array.from({ length: 60 }, (_, index) =>
        meanDistance(drawPicture(view, width, height, new Random(3, 0, 0, index)), view, canvas),
      );
      // A step at a level's edge (solarize, posterize, hue) may turn one level of difference into many, in few pixels.
      expect(means.toSorted((a, b) => a - b)[30]).toBeLessThan(0.3);
      expect(Math.max(...means)).toBeLessThan(2);
    });

    test('what moves pixels before a flip is done by the worker, what moves them after it is left', () => {
      const view = recipe.views['globalQ'] as View;
      const steps: readonly Step[] = [
        { op: 'brightness', factor: 1.2 },
        { op: 'rotate', degrees: 20 },
        { op: 'invert' },
        { op: 'horizontalFlip' },
        { op: 'equalize' },
        { op: 'shearX', shear: 0.2 },
      ];
      const plan = { ...drawPicture(view, width, height, new Random(3, 0, 0, 1)), steps };
      const { now, pending } = defer(plan);
      expect(now.steps.map(({ op }) => op)).toEqual(['brightness', 'rotate', 'horizontalFlip']);
      expect(pending.steps.map(({ op }) => op)).toEqual(['invert', 'equalize', 'shearX']);
      expect(meanDistance(plan, view, view)).toBeLessThan(0.3);
    });
  });

  test.each([
    ['DetCo', detco],
    ['several crops as one view', crops],
    ['quarter turns', turned],
  ])('a pipeline that defers and one that does not agree on their batches: %s', async (_, recipe) => {
    const shards = new URL('../../fixtures/shards/val-000.tar', import.meta.url).pathname;
    const batches = async (augment: NonNullable<PipelineOptions['augment']>) => {
      const all = [];
      for await (const batch of await createPipeline({ shards, recipe, batchSize: 16, augment, workers: 2 })) {
        const views = Object.entries(batch.views).map(([name, { data, shape, pending }]) => {
          const uploaded = engine.upload(data, shape, pending ? 'levels' : 'normalised');
          const finished = pending ? augmentOnDevice(uploaded as tf.Tensor4D, pending, engine) : uploaded;
          const values = finished.dataSync().slice();
          const result = { name, shape: finished.shape, values };
          tf.dispose([uploaded, finished]);
          return result;
        });
        all.push({ samples: batch.samples, views });
        if (all.length === 2) break;
      }
      return all;
    };
    const [wanted, got] = [await batches('worker'), await batches('device')];
    expect(got.map(({ samples }) => samples)).toEqual(wanted.map(({ samples }) => samples));
    got.forEach(({ views }, step) => {
      views.forEach(({ name, shape, values }, i) => {
        const view = wanted[step]?.views[i];
        expect({ name, shape }).toEqual({ name: view?.name, shape: view?.shape });
        expect(difference(values, view?.values ?? []).mean * 0.225 * 255).toBeLessThan(0.3);
      });
    });
  });
}
