import { describe, expect, test } from '@jest/globals';
import { symmetricEigenvalues } from '#dist/eval/eigenvalues.js';
import { featureRank } from '#dist/eval/rank.js';
import { Random } from '#dist/common/random.js';
import { golden, val } from './reference.js';

describe('effective rank', () => {
  test("is NumPy's by RankMe's formula, and so is the deviation", () => {
    const { effectiveRank, deviation, dimensions, images } = featureRank(val());
    expect(effectiveRank).toBeCloseTo(golden.rank.effectiveRank, 6);
    expect(deviation).toBeCloseTo(golden.rank.deviation, 6);
    expect({ dimensions, images }).toEqual({ dimensions: golden.dimensions, images: golden.valLabels.length });
  });

  test('is the same of fewer images than dimensions, whichever Gram matrix is taken', () => {
    const { features, dimensions } = val();
    const few = 5;
    const wide = featureRank({ features: features.slice(0, few * dimensions), dimensions });
    const tall = new Float32Array(few * dimensions);
    for (let i = 0; i < few; i++) for (let j = 0; j < dimensions; j++) tall[j * few + i] = features[i * dimensions + j] ?? 0;
    expect(wide.effectiveRank).toBeCloseTo(featureRank({ features: tall, dimensions: few }).effectiveRank, 5);
    expect(wide.effectiveRank).toBeLessThan(few);
  });

  test('is 1 of features on one line, and their number of orthogonal ones', () => {
    const line = Float32Array.from({ length: 40 * 8 }, (_, at) => (1 + Math.floor(at / 8)) * ((at % 8) + 1));
    expect(featureRank({ features: line, dimensions: 8 }).effectiveRank).toBeCloseTo(1, 3);
    const axes = Float32Array.from({ length: 16 * 8 }, (_, at) => (Math.floor(at / 8) % 8 === at % 8 ? 1 : 0));
    expect(featureRank({ features: axes, dimensions: 8 }).effectiveRank).toBeCloseTo(8, 3);
  });

  test('of features that are all 0 there is one, and no deviation', () => {
    expect(featureRank({ features: new Float32Array(24), dimensions: 4 })).toMatchObject({ effectiveRank: 1, deviation: 0 });
  });
});

describe('eigenvalues of symmetric matrices', () => {
  test("are the squares of NumPy's singular values", () => {
    const { features, dimensions } = val();
    const gram = new Float64Array(dimensions * dimensions);
    for (let row = 0; row < features.length; row += dimensions)
      for (let i = 0; i < dimensions; i++)
        for (let j = 0; j < dimensions; j++) {
          const at = i * dimensions + j;
          gram[at] = (gram[at] ?? 0) + (features[row + i] ?? 0) * (features[row + j] ?? 0);
        }
    const values = [...symmetricEigenvalues(gram, dimensions)].map(Math.sqrt).toSorted((a, b) => b - a);
    for (const [at, expected] of golden.rank.singularValues.entries()) expect(values[at]).toBeCloseTo(expected, 4);
  });

  test('keep trace and squares of random, diagonal and tridiagonal matrices', () => {
    const random = new Random(3);
    for (const [n, band] of [
      [1, 1],
      [2, 2],
      [17, 17],
      [40, 0],
      [40, 1],
      [63, 63],
    ] as const) {
      const matrix = new Float64Array(n * n);
      for (let i = 0; i < n; i++) for (let j = Math.max(0, i - band); j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = random.normal();
      const trace = matrix.filter((_, at) => at % (n + 1) === 0).reduce((sum, value) => sum + value, 0);
      const squares = matrix.reduce((sum, value) => sum + value * value, 0);
      const values = symmetricEigenvalues(matrix.slice(), n);
      expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(trace, 8);
      expect(values.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(squares, 8);
    }
  });
});
