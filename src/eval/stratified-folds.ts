/** Cross-validation folds that keep the share of a class. */

/**
 * The fold of each image, as scikit-learn's `StratifiedKFold` without shuffling deals them: those of the class, and those that are not, are cut
 * in their order into `folds` runs of nearly equal length.
 */
export function stratifiedFolds(positive: readonly boolean[], folds: number): number[] {
  const first = positive[0] ?? false;
  const sizes = [first, !first].map((side) => positive.filter((one) => one === side).length);
  const fold: number[] = [];
  let before = 0;
  for (const [at, side] of [first, !first].entries()) {
    const size = sizes[at] ?? 0;
    // Of the images in one line, those of the first side ahead, each fold has every `folds`-th: so many of this side.
    const counts = Array.from({ length: folds }, (_, one) => dealt(before + size, folds, one) - dealt(before, folds, one));
    const rows = positive.flatMap((one, row) => (one === side ? [row] : []));
    let next = 0;
    for (const [one, count] of counts.entries()) for (const row of rows.slice(next, (next += count))) fold[row] = one;
    before += size;
  }
  return fold;
}

/** How many of the first `length` places are congruent to `fold`. */
function dealt(length: number, folds: number, fold: number): number {
  return Math.ceil((length - fold) / folds);
}
