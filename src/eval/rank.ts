/** How many dimensions the features use: what can be said of an encoder without a label. */
import type { Features } from './features.js';
import { symmetricEigenvalues } from './eigenvalues.js';
import { normalizeRows } from './normalize-rows.js';

export interface RankResult {
  /** exp of the entropy of the singular values as shares of their sum: 1 when all features lie on one line, up to `dimensions`. */
  readonly effectiveRank: number;
  /** Mean over the dimensions of the standard deviation over the images of unit-norm features; 0 when all are alike. */
  readonly deviation: number;
  readonly dimensions: number;
  readonly images: number;
}

/** RankMe's epsilon, which keeps the logarithm of a share of 0 finite. */
const EPSILON = 1e-7;

/**
 * Effective rank (RankMe: Garrido et al., ICML 2023, Eq. 1) and deviation of features.
 *
 * The singular values are square roots of eigenvalues of the smaller Gram matrix, summed in float64: those below 1e-8 of the largest are noise.
 */
export function featureRank({ features, dimensions }: Features): RankResult {
  const images = features.length / dimensions;
  const eigenvalues = symmetricEigenvalues(...gram({ features, dimensions }));
  const singular = eigenvalues.map((value) => Math.sqrt(Math.max(0, value)));
  const sum = singular.reduce((total, value) => total + value, 0);
  const entropy = sum === 0 ? 0 : singular.reduce((total, value) => total - share(value / sum) * Math.log(share(value / sum)), 0);
  return { effectiveRank: Math.exp(entropy), deviation: deviation({ features, dimensions }), dimensions, images };
}

const share = (value: number): number => value + EPSILON;

/** X^T X, or X X^T where that is smaller; its lower half. */
function gram({ features, dimensions }: Features): [matrix: Float64Array, n: number] {
  const images = features.length / dimensions;
  if (images < dimensions) {
    const matrix = new Float64Array(images * images);
    for (let i = 0; i < images; i++)
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let at = 0; at < dimensions; at++) sum += (features[i * dimensions + at] ?? 0) * (features[j * dimensions + at] ?? 0);
        matrix[i * images + j] = sum;
      }
    return [matrix, images];
  }
  const matrix = new Float64Array(dimensions * dimensions);
  for (let image = 0; image < images; image++) {
    const row = features.subarray(image * dimensions, (image + 1) * dimensions);
    for (let i = 0; i < dimensions; i++) {
      const value = row[i] ?? 0;
      // Rectified features are often 0.
      if (value === 0) continue;
      const line = matrix.subarray(i * dimensions, i * dimensions + i + 1);
      for (let j = 0; j <= i; j++) line[j] = (line[j] ?? 0) + value * (row[j] ?? 0);
    }
  }
  return [matrix, dimensions];
}

function deviation({ features, dimensions }: Features): number {
  const unit = normalizeRows(features.slice(), dimensions);
  const images = unit.length / dimensions;
  let sum = 0;
  for (let at = 0; at < dimensions; at++) {
    let mean = 0;
    for (let image = 0; image < images; image++) mean += (unit[image * dimensions + at] ?? 0) / images;
    let squares = 0;
    for (let image = 0; image < images; image++) squares += ((unit[image * dimensions + at] ?? 0) - mean) ** 2;
    sum += Math.sqrt(squares / Math.max(1, images - 1));
  }
  return sum / dimensions;
}
