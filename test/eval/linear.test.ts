import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mul, type Tensor2D, type Tensor4D, tensor1d, tensor2d, tidy } from '@tensorflow/tfjs-core';
import { selectEngine, type Engine } from '#dist/engine/index.js';
import { LinearProbe, NO_CLASS } from '#dist/eval/linear-probe.js';
import { fitCached, RATES } from '#dist/eval/linear-cached.js';
import { LINEAR_PROTOCOLS, rateAt } from '#dist/eval/linear-protocols.js';
import { evaluateLinear } from '#dist/eval/index.js';
import { createBackbone } from '#dist/model/index.js';
import { writeColouredShard } from '../support/coloured-shards.js';
import { golden, train, val } from './reference.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const { classes, linear } = golden;
const { sgd } = linear;

/** All training images at once, and `padding` rows of no class. */
async function descend(probe: LinearProbe, padding = 0): Promise<number[][]> {
  const { features, dimensions, labels } = train();
  const rows = labels.length + padding;
  const padded = new Float32Array(rows * dimensions).fill(3);
  padded.set(features);
  const losses: number[][] = [];
  for (const _ of sgd.losses) {
    const loss = tidy(() =>
      probe.step(
        tensor2d(padded, [rows, dimensions]),
        tensor1d([...labels, ...Array.from({ length: padding }, () => NO_CLASS)], 'int32'),
        sgd.rate,
      ),
    );
    losses.push([...(await loss.data())]);
    loss.dispose();
  }
  return losses;
}

describe('a linear probe', () => {
  test("makes the steps of PyTorch's cross_entropy and SGD", async () => {
    using probe = new LinearProbe(engine, golden.dimensions, classes, [1]);
    const losses = await descend(probe);
    for (const [step, loss] of sgd.losses.entries()) expect(losses[step]?.[0]).toBeCloseTo(loss, 5);
    const [weight, bias] = probe.parameters;
    const [weights, biases] = [await weight.data(), await bias.data()];
    for (const [at, expected] of sgd.weight.flat().entries()) expect(weights[at]).toBeCloseTo(expected, 4);
    for (const [at, expected] of sgd.bias.entries()) expect(biases[at]).toBeCloseTo(expected, 4);
  });

  test('leaves rows of no class out', async () => {
    using probe = new LinearProbe(engine, golden.dimensions, classes, [1]);
    const losses = await descend(probe, 7);
    for (const [step, loss] of sgd.losses.entries()) expect(losses[step]?.[0]).toBeCloseTo(loss, 5);
  });

  test('trains several rates at once as each would alone', async () => {
    using both = new LinearProbe(engine, golden.dimensions, classes, [0.01, 1]);
    using slow = new LinearProbe(engine, golden.dimensions, classes, [0.01]);
    const [together, alone] = [await descend(both), await descend(slow)];
    for (const [step, loss] of sgd.losses.entries()) {
      expect(together[step]?.[0]).toBeCloseTo(alone[step]?.[0] ?? NaN, 5);
      expect(together[step]?.[1]).toBeCloseTo(loss, 5);
    }
  });
});

test.each(['moco', 'lightly'] as const)(
  "on given features the protocol %s comes within half a point of scikit-learn's LogisticRegression",
  async (name) => {
    const protocol = LINEAR_PROTOCOLS[name];
    const plan = { protocol, classes, batch: golden.trainLabels.length, epochs: 300, seed: 1 };
    using fit = await fitCached(engine, train(), plan, { rate: 3 });
    expect(fit.loss - linear.loss).toBeLessThan(1e-3);
    const guesses = await fit.guess(val());
    expect(Math.abs(guesses.top(1, val().labels) - linear.top1)).toBeLessThanOrEqual(0.005);
  },
);

test('of several rates the one that is best on held-out images is taken', async () => {
  const plan = { protocol: LINEAR_PROTOCOLS.moco, classes, batch: 64, epochs: 40, seed: 1 };
  using fit = await fitCached(engine, train(), plan);
  using wild = await fitCached(engine, train(), plan, { rate: 100 });
  expect(RATES).toContain(fit.rate);
  const right = async ({ guess }: typeof fit) => (await guess(val())).top(1, val().labels);
  expect(await right(fit)).toBeGreaterThan(linear.top1 - 0.02);
  expect(await right(fit)).toBeGreaterThan(await right(wild));
});

test('a rate that is asked for is taken, and one that is far too high ends in a loss that is high or no number', async () => {
  const plan = { protocol: LINEAR_PROTOCOLS.moco, classes, batch: 64, epochs: 5, seed: 1 };
  using fit = await fitCached(engine, train(), plan, { rate: 0.5 });
  expect(fit.rate).toBe(0.5);
  using wild = await fitCached(engine, train(), plan, { rate: 1e30 });
  expect(wild.loss < 10).toBe(false);
});

test('a classifier that has diverged guesses nothing', async () => {
  const plan = { protocol: LINEAR_PROTOCOLS.moco, classes, batch: 64, epochs: 1, seed: 1 };
  const large = (of: typeof train) => ({ ...of(), features: of().features.map((value) => 1e6 * value) });
  using wild = await fitCached(engine, large(train), plan, { rate: 1e38 });
  const guesses = await wild.guess(large(val));
  expect(guesses.fewerThan(1)).toBe(val().labels.length);
  expect(guesses.top(5, val().labels)).toBe(0);
});

test('an evaluation refuses a rate at which the classifier diverges, and says which to give', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'detco-linear-'));
  using made = createBackbone(engine, { arch: 'resnet18', width: 2, stem: 'small' }, 0);
  const { channels } = made.backbone;
  const large = (pixels: Tensor4D) => {
    const { res5, ...rest } = made.backbone.features(pixels);
    return { ...rest, res5: mul(res5, 1e6) as Tensor2D };
  };
  try {
    const shards = [await writeColouredShard(join(folder, 'a.tar'), 24)];
    const asked = {
      engine,
      backbone: { channels, features: large },
      stages: ['res5'],
      shards,
      valShards: shards,
      reading: { globalSize: 16, limit: Infinity, batch: 24, workers: 1 },
      seed: 0,
      shuffleLabels: false,
      protocol: 'moco',
      cached: true,
      epochs: 2,
      lr: 1e38,
    } as const;
    await expect(evaluateLinear(asked)).rejects.toThrow(
      /^the linear classifier on res5 diverged at learning rate 1e\+38: .*; give a lower --lr, or leave --lr out: the best of 0\.01, /,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the same seed gives the same guesses', async () => {
  const plan = { protocol: LINEAR_PROTOCOLS.lightly, classes, batch: 64, epochs: 3, seed: 5 };
  const guessed = async () => {
    using fit = await fitCached(engine, train(), plan);
    const guesses = await fit.guess(val());
    return [fit.rate, fit.loss, ...val().labels.map((_, image) => guesses.best(image))];
  };
  expect(await guessed()).toEqual(await guessed());
});

test('rates fall at 60 and 80 of 100 epochs, or along a cosine, and go with the batch', () => {
  const moco = { protocol: LINEAR_PROTOCOLS.moco, batch: 256, epochs: 100 };
  for (const [epoch, rate] of [
    [0, 30],
    [59, 30],
    [60, 3],
    [79, 3],
    [80, 0.3],
    [99, 0.3],
  ] as const)
    expect(rateAt(moco, 30, epoch)).toBeCloseTo(rate, 12);
  const lightly = { protocol: LINEAR_PROTOCOLS.lightly, batch: 512, epochs: 90 };
  for (const [epoch, rate] of [
    [0, 0.2],
    [45, 0.1],
    [30, 0.15],
  ] as const)
    expect(rateAt(lightly, 0.1, epoch)).toBeCloseTo(rate, 12);
});
