import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { memory, tensor2d } from '@tensorflow/tfjs-core';
import { selectEngine, type Engine } from '#dist/engine/index.js';
import { OnlineProbe, type ProbeGuesses } from '#dist/eval/online-probe.js';
import { golden, train, val } from './reference.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const BATCH = 30;

/** Batches of 30 images in turn, `updates` of them. */
async function learn(probe: OnlineProbe, updates: number, relabel = (label: number): number | undefined => label) {
  const { features, dimensions, labels } = train();
  const found: (ProbeGuesses | undefined)[] = [];
  for (let update = 0; update < updates; update++) {
    const from = (update * BATCH) % labels.length;
    const rows = tensor2d(features.slice(from * dimensions, (from + BATCH) * dimensions), [BATCH, dimensions]);
    found.push(await probe.learn(rows, labels.slice(from, from + BATCH).map(relabel)));
    rows.dispose();
  }
  return found;
}

const values = (probe: OnlineProbe) =>
  Object.fromEntries([...probe.state].map(([name, variable]) => [name, [variable.shape, ...variable.dataSync()]]));

describe('the linear probe that learns along', () => {
  test("comes near scikit-learn's classifier on features that stand still", async () => {
    using probe = new OnlineProbe(engine, golden.dimensions);
    expect(await probe.top1(val())).toBeUndefined();
    const [first, ...later] = await learn(probe, 240);
    // It starts at zero, where all 8 columns are as likely: three are of classes that do not come.
    expect(first?.loss).toBeCloseTo(Math.log(8), 5);
    expect(await probe.top1(val())).toBeGreaterThan(golden.linear.top1 - 0.05);
    const last = later.slice(-8) as ProbeGuesses[];
    expect(last.reduce((sum, { top1 }) => sum + top1, 0) / last.length).toBeGreaterThan(0.7);
  });

  test('does not depend on how large features are', async () => {
    using probe = new OnlineProbe(engine, golden.dimensions);
    await learn(probe, 80);
    const { features, ...rest } = val();
    const small = await probe.top1({ features, ...rest });
    using other = new OnlineProbe(engine, golden.dimensions);
    const { dimensions, labels } = train();
    for (let update = 0; update < 80; update++) {
      const from = (update * BATCH) % labels.length;
      const rows = tensor2d(
        train()
          .features.slice(from * dimensions, (from + BATCH) * dimensions)
          .map((value) => 100 * value),
        [BATCH, dimensions],
      );
      await other.learn(rows, labels.slice(from, from + BATCH));
      rows.dispose();
    }
    const large = await other.top1({ features: features.map((value) => 100 * value), ...rest });
    expect(Math.abs((large ?? 0) - (small ?? 1))).toBeLessThan(0.02);
  });

  test('passes over a batch without labels, and counts none of the images without', async () => {
    using probe = new OnlineProbe(engine, golden.dimensions);
    expect(await learn(probe, 1, () => undefined)).toEqual([undefined]);
    expect(probe.begun).toBe(false);
    const guesses = (await learn(probe, 16, (label) => (label === 0 ? undefined : 0))) as ProbeGuesses[];
    expect(guesses.at(-1)?.top1).toBe(1);
  });

  test('makes room for more classes and keeps what it has learned', async () => {
    using probe = new OnlineProbe(engine, golden.dimensions);
    await learn(probe, 40);
    const [before, accuracy] = [values(probe), await probe.top1(val())];
    probe.reserve(20);
    expect(Object.fromEntries([...probe.state].map(([name, { shape }]) => [name, shape]))).toEqual({
      weight: [12, 32],
      bias: [32],
      'weight.velocity': [12, 32],
      'bias.velocity': [32],
      running_mean: [12],
      running_var: [12],
    });
    const bias = probe.state.get('bias')?.dataSync() ?? [];
    expect(Array.from(bias).slice(0, 5)).toEqual(before['bias']?.slice(1, 6));
    expect(await probe.top1(val())).toBe(accuracy);
    const tensors = memory().numTensors;
    await learn(probe, 3, (label) => 4 * label);
    expect(memory().numTensors).toBe(tensors);
  });

  test('refuses a label that is no number of a class', async () => {
    using probe = new OnlineProbe(engine, golden.dimensions);
    await expect(learn(probe, 1, () => 20_240_101)).rejects.toThrow(
      new RangeError('label 20240101: expected at most 32768 classes, numbered from 0'),
    );
  });
});
