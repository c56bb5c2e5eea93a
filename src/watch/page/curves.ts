/** Numbers of a curve on their way to the screen. */

export type Numbers = readonly (number | null)[];

/** Exponential mean of what came before, without the pull of a first value: `weight` 0 changes nothing. */
export function smooth(values: Numbers, weight: number): Numbers {
  if (weight === 0) return values;
  let mean = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

/** A logarithm has no place for 0 and below. */
export function positive(values: Numbers): Numbers {
  return values.map((value) => (value !== null && value > 0 ? value : null));
}

/** Place of the last value at or before `index`. */
export function lastAt(values: readonly (number | null | undefined)[], index: number): number | undefined {
  for (let at = Math.min(index, values.length - 1); at >= 0; at--) {
    const value = values[at];
    if (value !== null && value !== undefined) return value;
  }
  return undefined;
}
