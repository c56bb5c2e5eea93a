import { describe, expect, test } from '@jest/globals';
import { defaultNeighbours, knnTop1, normalizeRows, vote, type LabelledFeatures, type Similarities } from '#dist/eval/knn.js';
import { Random } from '#dist/common/random.js';

const similarities: Similarities = async (queries, bank, dimensions) => {
  const [rows, columns] = [queries.length / dimensions, bank.length / dimensions];
  const product = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      for (let i = 0; i < dimensions; i++)
        product[row * columns + column] =
          (product[row * columns + column] ?? 0) + (queries[row * dimensions + i] ?? 0) * (bank[column * dimensions + i] ?? 0);
  return product;
};

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
    expect(await knnTop1(clusters(5, 40, 0.1, 1), clusters(5, 30, 0.1, 2), similarities)).toBe(1);
    const blind = await knnTop1(clusters(5, 40, 1e6, 1), clusters(5, 30, 1e6, 2), similarities);
    expect(blind).toBeLessThan(0.4);
  });

  test('weighs votes by exp(cosine / temperature), so that one near neighbour outvotes two far ones', () => {
    const cosines = Float32Array.of(0.9, 0.6, 0.6, -1);
    expect(vote(cosines, [0, 1, 1, 1], 3, 0.07)).toBe(0);
    expect(vote(cosines, [0, 1, 1, 1], 3, 10)).toBe(1);
  });

  test('asks the k most similar alone', () => {
    const cosines = Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8);
    expect(vote(cosines, [1, 1, 1, 1, 1, 0, 0, 2], 3, 1e6)).toBe(0);
    expect(vote(cosines, [1, 1, 1, 1, 1, 0, 0, 2], 8, 1e6)).toBe(1);
  });

  test('picks the neighbours that a sort picks', () => {
    const random = new Random(5);
    for (let round = 0; round < 20; round++) {
      const cosines = Float32Array.from({ length: 200 }, () => random.between(-1, 1));
      const labels = Array.from(cosines, (_, index) => index);
      const best = cosines.indexOf(Math.max(...cosines));
      expect(vote(cosines, labels, 1 + random.below(50), 0.07)).toBe(best);
    }
  });

  test('uses 200 neighbours of a large bank and a tenth of a small one', () => {
    expect([5, 500, 2000, 1_281_167].map(defaultNeighbours)).toEqual([1, 50, 200, 200]);
  });

  test('refuses to classify without labels', async () => {
    const none: LabelledFeatures = { features: new Float32Array(), dimensions: 2, labels: [] };
    await expect(knnTop1(none, clusters(2, 1, 0, 1), similarities)).rejects.toThrow('the bank has 0');
  });
});
