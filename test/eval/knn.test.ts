import { describe, expect, test } from '@jest/globals';
import type { LabelledFeatures } from '#dist/eval/features.js';
import { defaultNeighbours, knnGuesses, nearest, vote } from '#dist/eval/knn.js';
import { normalizeRows } from '#dist/eval/normalize-rows.js';
import { Random } from '#dist/common/random.js';
import { golden, train, val } from './reference.js';

/** Share of the queries whose class the bank names first, of first and second, and so on. */
async function knnTop(
  k: number,
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  options?: { readonly k: number; readonly temperature: number },
): Promise<number> {
  const { dimensions } = bank;
  const similarities = async (block: Float32Array): Promise<Float32Array> => {
    const [rows, columns] = [block.length / dimensions, bank.labels.length];
    const dot = (row: number, column: number): number => {
      let sum = 0;
      for (let i = 0; i < dimensions; i++) sum += (block[row * dimensions + i] ?? 0) * (bank.features[column * dimensions + i] ?? 0);
      return sum;
    };
    return Float32Array.from({ length: rows * columns }, (_, at) => dot(Math.floor(at / columns), at % columns));
  };
  return (await knnGuesses(queries, bank.labels, similarities, options)).top(k, queries.labels);
}

/** Points around one axis a class. */
function clusters(classes: number, each: number, noise: number, seed: number): LabelledFeatures {
  const random = new Random(seed);
  const labels = Array.from({ length: classes * each }, (_, index) => index % classes);
  const features = Float32Array.from(
    labels.flatMap((label) => Array.from({ length: classes }, (_, axis) => (axis === label ? 1 : 0) + random.normal(0, noise))),
  );
  return { features: normalizeRows(features, classes), dimensions: classes, labels };
}

describe('weighted kNN', () => {
  test('finds the classes of clustered features and not those of noise', async () => {
    expect(await knnTop(1, clusters(5, 40, 0.1, 1), clusters(5, 30, 0.1, 2))).toBe(1);
    const blind = await knnTop(1, clusters(5, 40, 1e6, 1), clusters(5, 30, 1e6, 2));
    expect(blind).toBeLessThan(0.4);
  });

  test('weighs votes by exp(cosine / temperature), so that one near neighbour outvotes two far ones', () => {
    const cosines = Float32Array.of(0.9, 0.6, 0.6, -1);
    expect(vote(cosines, [0, 1, 1, 1], 3, 0.07)[0]).toBe(0);
    expect(vote(cosines, [0, 1, 1, 1], 3, 10)[0]).toBe(1);
  });

  test('comes at small temperatures to the class of the nearest neighbour, however far that is', () => {
    const random = new Random(7);
    const labels = Array.from({ length: 50 }, (_, index) => index % 5);
    for (let round = 0; round < 20; round++) {
      const cosines = Float32Array.from(labels, () => random.between(-1, 0.9));
      const [one] = vote(cosines, labels, 1, 0.07);
      for (const temperature of [1e-7, 1e-30, Number.MIN_VALUE]) expect(vote(cosines, labels, 10, temperature)[0]).toBe(one);
    }
  });

  test('asks the k most similar alone', () => {
    const cosines = Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8);
    expect(vote(cosines, [1, 1, 1, 1, 1, 0, 0, 2], 3, 1e6)[0]).toBe(0);
    expect(vote(cosines, [1, 1, 1, 1, 1, 0, 0, 2], 8, 1e6)[0]).toBe(1);
  });

  test('picks the neighbours that a sort picks', () => {
    const random = new Random(5);
    for (let round = 0; round < 20; round++) {
      const cosines = Float32Array.from({ length: 200 }, () => random.between(-1, 1));
      const labels = Array.from(cosines, (_, index) => index);
      const best = cosines.indexOf(Math.max(...cosines));
      expect(vote(cosines, labels, 1 + random.below(50), 0.07)[0]).toBe(best);
    }
  });

  test('uses 200 neighbours of a large bank and a tenth of a small one', () => {
    expect([5, 500, 2000, 1_281_167].map(defaultNeighbours)).toEqual([1, 50, 200, 200]);
  });

  test('is right as often as KNeighborsClassifier with those weights', async () => {
    const unit = (of: LabelledFeatures) => ({ ...of, features: normalizeRows(of.features, of.dimensions) });
    const { k, temperature, top1, top2 } = golden.knn;
    expect(await knnTop(1, unit(train()), unit(val()), { k, temperature })).toBeCloseTo(top1, 12);
    expect(await knnTop(2, unit(train()), unit(val()), { k, temperature })).toBeCloseTo(top2, 12);
  });

  test('names the nearest images, nearest first', () => {
    expect(nearest(Float32Array.of(0.1, 0.9, 0.5, 0.9, -1), 4)).toEqual([1, 3, 2, 0]);
    expect(nearest(Float32Array.of(0.1, 0.9), 4)).toEqual([1, 0]);
  });
});
