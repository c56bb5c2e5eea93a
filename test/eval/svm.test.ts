import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { selectEngine, type Engine } from '#dist/engine/index.js';
import { normalizeRows } from '#dist/eval/normalize-rows.js';
import { designOnEngine } from '#dist/eval/on-engine.js';
import { solveMachines } from '#dist/eval/linear-svm.js';
import { COSTS, scoreImages, trainMachines } from '#dist/eval/svm.js';
import { stratifiedFolds } from '#dist/eval/stratified-folds.js';
import type { LabelledFeatures } from '#dist/eval/features.js';
import { golden, train, val } from './reference.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const unit = ({ features, dimensions }: LabelledFeatures) => ({ features: normalizeRows(features, dimensions), dimensions });
const sets = (labels: readonly number[]) => labels.map((label) => ({ present: [label], difficult: [] }));

describe('a linear SVM', () => {
  test("has LinearSVC's weights and intercept, with images of the class counted twice", async () => {
    using design = designOnEngine(unit(train()));
    const { fits } = golden.svm;
    const of = (row: number) => golden.trainLabels[row] === 0;
    const at = (value: (row: number, cost: number) => number) =>
      golden.trainLabels.flatMap((_, row) => fits.map(({ cost }) => value(row, cost)));
    const weights = await solveMachines(design, {
      machines: fits.length,
      targets: Int8Array.from(at((row) => (of(row) ? 1 : -1))),
      costs: Float32Array.from(at((row, cost) => cost * (of(row) ? 2 : 1))),
    });
    for (const [machine, fit] of fits.entries())
      for (const [column, expected] of fit.weights.entries()) {
        const found = weights[column * fits.length + machine] ?? NaN;
        expect(Math.abs(found - expected)).toBeLessThan(1e-3 * Math.hypot(...fit.weights));
      }
  });

  test('of each class has the cost and the scores that scikit-learn finds', async () => {
    expect(COSTS).toHaveLength(21);
    expect([...COSTS].toSorted((a, b) => a - b)).toEqual(golden.svm.costs.toSorted((a, b) => a - b));
    using design = designOnEngine(unit(train()));
    const machines = await trainMachines(design, sets(golden.trainLabels), { classes: golden.classes, costs: golden.svm.costs });
    using valDesign = designOnEngine(unit(val()));
    const scores = await scoreImages(valDesign, machines);
    for (const [label, expected] of golden.svm.classes.entries()) {
      const machine = machines[label];
      for (const [at, precision] of expected.crossValidated.entries()) expect(machine?.crossValidated[at]).toBeCloseTo(precision, 3);
      expect(machine?.cost).toBe(expected.cost);
      for (const [image, score] of expected.scores.entries()) expect(scores[image * golden.classes + label]).toBeCloseTo(score, 2);
    }
  });

  test('is not there for a class that no training image, or every one, is of', async () => {
    using design = designOnEngine({ features: Float32Array.of(1, 0, 0, 1, 0.6, 0.8), dimensions: 2 });
    const labels = [[0, 2], [0], [0, 2]].map((present) => ({ present, difficult: [] }));
    const machines = await trainMachines(design, labels, { classes: 3, costs: [1] });
    expect(machines.map((machine) => machine !== undefined)).toEqual([false, false, true]);
    const scores = await scoreImages(design, machines);
    expect([...scores].map(Number.isNaN)).toEqual([true, true, false, true, true, false, true, true, false]);
  });
});

test('folds keep the share of the class, as StratifiedKFold deals them', () => {
  // scikit-learn 1.9.1: StratifiedKFold(3).split([-1, 1, -1, -1, 1, -1, -1, 1, -1, -1])
  const positive = [false, true, false, false, true, false, false, true, false, false];
  expect(stratifiedFolds(positive, 3)).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 2, 2]);
  // ... .split([1, 1, -1, -1, 1, -1, -1, 1, -1, -1, -1])
  const others = [true, true, false, false, true, false, false, true, false, false, false];
  expect(stratifiedFolds(others, 3)).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 1, 2, 2]);
});
