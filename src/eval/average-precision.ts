/**
 * What a ranking of images by the scores of one class is worth: average precision, by the three definitions in use.
 *
 * Images with one score are taken together: their order, which would else decide, is no merit of the scores.
 */

/** Images found from the highest score down to some score, and how many of them are of the class. */
interface Cut {
  readonly found: number;
  readonly right: number;
}

/** Images by their scores, highest first. */
export function byScore(scores: ArrayLike<number>): number[] {
  return Array.from(scores, (_, index) => index).toSorted((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
}

interface CutOptions {
  /** `byScore(scores)`, for who cuts more than once. */
  readonly order?: readonly number[];
  /** How often each image is there. By default once. */
  readonly counts?: ArrayLike<number>;
}

/** Cuts at the scores that occur, highest first; those without another image of the class than the cut before change no definition. */
export function cuts(scores: ArrayLike<number>, positive: readonly boolean[], { order = byScore(scores), counts }: CutOptions = {}): Cut[] {
  const all: Cut[] = [];
  let [found, right] = [0, 0];
  for (const [place, index] of order.entries()) {
    const count = counts ? (counts[index] ?? 0) : 1;
    found += count;
    if (positive[index]) right += count;
    const next = order[place + 1];
    if (next !== undefined && scores[next] === scores[index]) continue;
    if (right > (all.at(-1)?.right ?? 0)) all.push({ found, right });
  }
  return all;
}

/** Sum over the cuts of (recall gained) x (precision there): scikit-learn's `average_precision_score`. NaN without an image of the class. */
export function averagePrecision(ranking: readonly Cut[]): number {
  return sumGains(ranking, (at) => at.right / at.found);
}

/** The same with the best precision at that recall or any higher: VOC 2010 and later, and FAIR's benchmark of SVMs. */
export function areaUnderCurve(ranking: readonly Cut[]): number {
  const best = bestFrom(ranking);
  return sumGains(ranking, (_, index) => best[index] ?? 0);
}

/**
 * Mean of the best precision at recalls of 0, 0.1, ... 1 or higher: VOC 2007.
 *
 * Recall >= k/10 is compared in whole numbers: sums of 0.1 miss recalls of exactly 0.3, 0.6 and 0.7, and 9.09 points with each.
 */
export function elevenPoints(ranking: readonly Cut[]): number {
  const total = ranking.at(-1)?.right ?? 0;
  const best = bestFrom(ranking);
  let sum = 0;
  for (let tenth = 0; tenth <= 10; tenth++) sum += best[ranking.findIndex(({ right }) => 10 * right >= tenth * total)] ?? Number.NaN;
  return sum / 11;
}

/** The best precision at each cut or any after it. */
function bestFrom(ranking: readonly Cut[]): number[] {
  const best: number[] = [];
  for (let index = ranking.length - 1, highest = 0; index >= 0; index--) {
    const { found, right } = ranking[index] ?? { found: 1, right: 0 };
    highest = Math.max(highest, right / found);
    best[index] = highest;
  }
  return best;
}

function sumGains(ranking: readonly Cut[], precision: (at: Cut, index: number) => number): number {
  let sum = 0;
  let before = 0;
  for (const [index, at] of ranking.entries()) {
    sum += (at.right - before) * precision(at, index);
    before = at.right;
  }
  return sum / before;
}
