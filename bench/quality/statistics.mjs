/** What a few seeds tell. */

/** 97.5 % quantiles of Student's t by degrees of freedom, from 1. */
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
export const MOST_SEEDS = T.length + 1;

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of an even number the upper of the two in the middle. */
export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Of a sample: n - 1 below. NaN for one value. */
export function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/**
 * Mean of `values[i] - others[i]` and, of two pairs or more, its 95 % interval by Student's t.
 *
 * @param values at most `MOST_SEEDS`
 */
export function pairedDifference(values, others) {
  const differences = values.map((value, at) => value - others[at]);
  const middle = mean(differences);
  if (values.length === 1) return { mean: middle };
  const half = (T[values.length - 2] * deviation(differences)) / Math.sqrt(values.length);
  return { mean: middle, interval: [middle - half, middle + half] };
}

/** Student's t of 20 pairs, about. */
const T_OF_MANY = 2.1;

/** About how many pairs it takes until the 95 % interval of a mean difference leaves out 0, if mean and deviation of these stay. */
export function pairsToDecide(differences) {
  return Math.ceil(((T_OF_MANY * deviation(differences)) / mean(differences)) ** 2);
}
