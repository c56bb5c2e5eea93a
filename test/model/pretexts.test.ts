/** What colorization and inpainting need of their views, and refuse. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { type MethodInput, methodKind, methodOptions } from '#dist/model/index.js';
import { colourBins } from '#dist/model/methods/colour-bins.js';
import { decoder } from '#dist/model/network/decoder.js';
import { Network } from '#dist/model/network/network.js';
import { createOptimizer } from '#dist/train/optimizer/index.js';
import { createTrainStep } from '#dist/train/step.js';
import { checkViews, trainingRecipe } from '#dist/train/training-recipe.js';
import { labOf } from '#dist/common/lab.js';
import { Random } from '#dist/common/random.js';
import { NoiseBatches } from '../support/small-method.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const small = { arch: 'resnet18', width: 4, stem: 'small', hidden: 8 } as const;
const optionsOf = (name: string) => methodOptions({ ...small, name } as MethodInput);

describe('bins of colours', () => {
  const bins = colourBins();

  test('are the ones that a colour of sRGB falls into', () => {
    expect(bins).toHaveLength(261);
    const held = new Set(bins.map(String));
    const random = new Random(1);
    const missed = Array.from({ length: 20_000 }, () => labOf(random.below(256), random.below(256), random.below(256))).filter(
      ([, a, b]) => !held.has(String([10 * Math.round(a / 10) + 0, 10 * Math.round(b / 10) + 0])),
    );
    expect(missed).toEqual([]);
  });

  test('are listed by a and then by b', () => {
    expect(bins.toSorted(([a, b], [otherA, otherB]) => a - otherA || b - otherB)).toEqual(bins);
  });
});

test('a decoder doubles the sides by copies of each cell, and then convolves', () => {
  const part = decoder('decoder', [1, 1]);
  const network = new Network(engine, [part], { bnGroups: 1, seed: 1 });
  const centre = tf.tensor4d([0, 0, 0, 0, 1, 0, 0, 0, 0], [3, 3, 1, 1]);
  engine.lerp([network.parameter('decoder.conv1.weight')], [centre], 1);
  // In eval mode a new batch norm changes nothing but by its epsilon.
  const out = part.forward(network.eval(), tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 2, 3, 1]));
  expect(out.shape).toEqual([1, 4, 6, 1]);
  expect(Array.from(out.dataSync(), Math.round)).toEqual([1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 4, 4, 5, 5, 6, 6]);
  network.dispose();
});

test.each(['colorization', 'inpainting'])('%s refuses views whose sides its cells do not divide', (name) => {
  const method = methodKind(name).create(engine, optionsOf(name), 1);
  const [view = ''] = method.views;
  const step = () => method.step({ [view]: tf.zeros([2, 20, 20, 3]) }, {});
  expect(step).toThrow(RangeError);
  expect(step).toThrow(
    `The view "${view}" is 20 x 20 pixels: expected a multiple of 8, the pixels that a cell of the last map stands for; use recipe.globalSize (--global-size) 24, or another method.stem`,
  );
  method.dispose();
});

test('inpainting refuses pictures without masks', () => {
  const method = methodKind('inpainting').create(engine, optionsOf('inpainting'), 1);
  const whole = { image: { width: 8, height: 8 }, box: { left: 0, top: 0, width: 8, height: 8 }, flipped: false };
  const inputs = () => method.inputs({ step: 0, progress: 0, epoch: 0, batch: 1, samples: { plans: { masked: [whole] } } });
  expect(inputs).toThrow(TypeError);
  expect(inputs).toThrow('The view "masked" has no masks: expected a recipe with the operation mask');
  method.dispose();
});

test.each(['colorization', 'inpainting'] as const)('%s takes no recipe of whole images, and moco none of its', (name) => {
  const method = optionsOf(name);
  const recipe = { name: 'mocoV2', globalSize: 32 } as const;
  expect(() => checkViews({ method, recipe })).toThrow(`which recipe "mocoV2" does not make: use recipe.name ${name}`);
  expect(() => checkViews({ method: methodOptions({ name: 'moco' }), recipe: { name, globalSize: 32 } })).toThrow(
    /needs the views globalQ/,
  );
  expect(Object.keys(trainingRecipe({ method, recipe: { name, globalSize: 32 } }).views)).toEqual(
    methodKind(name).create(engine, method, 1).views,
  );
});

test.each([undefined, [{ steps: [] }, { steps: [] }]])(
  'views that a method takes as levels are not normalised, pending %j',
  async (pending) => {
    const options = optionsOf('colorization');
    const method = methodKind('colorization').create(engine, options, 1);
    const batch = new NoiseBatches('tiny-colorization', options, { side: 16, images: 2 }, new Random(2)).batch(0, 2);
    const { data, shape } = batch.views['lab'] ?? { data: new Uint8Array(), shape: [] };
    const views = { lab: { data, shape, ...(pending && { pending }) } };
    const optimizer = createOptimizer(engine, method.parameters, { name: 'sgd', momentum: 0.9, weightDecay: 0 });
    const { tensors } = await createTrainStep({ engine, method, optimizer }).stage({ ...batch, views });
    expect(Array.from(tensors['lab']?.dataSync() ?? [])).toEqual(Array.from(data));
    method.dispose();
  },
);
