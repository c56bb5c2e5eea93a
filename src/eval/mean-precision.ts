/** Mean average precision of a score for each class, and what it would be by chance. */
import { Random, streamId } from '../common/random.js';
import { areaUnderCurve, byScore, cuts, elevenPoints } from './average-precision.js';
import type { Verdict } from './classification.js';
import type { Interval } from './interval.js';
import type { ClassSet } from './labels.js';

export interface MeanPrecision {
  /** Mean over the classes of the 11-point average precision, as VOC07's tables have it. */
  readonly map11: number;
  /** The same by the area under the curve, as FAIR's benchmark has it. */
  readonly mapArea: number;
  /** Of `map11`, 95 %, over the images. */
  readonly interval: Interval;
  /** `map11` of the same scores with the labels shuffled: the mean, and what 95 % lie within. */
  readonly chance: number;
  readonly chanceInterval: Interval;
  readonly verdict: Verdict;
  /** 11-point average precision of each class; null where no image, or no machine, is of it. */
  readonly classes: readonly (number | null)[];
}

const ROUNDS = 200;

/** One class: scores and labels of the images that count. */
interface Column {
  readonly one: number;
  readonly scores: Float32Array;
  readonly order: readonly number[];
  /** Images of the column, by their numbers. */
  readonly images: readonly number[];
}

/**
 * @param scores [images, classes], NaN for classes that are left out
 * @throws Error when no class can be judged
 */
export function meanPrecision(scores: Float32Array, sets: readonly ClassSet[], classes: number, seed: number): MeanPrecision {
  const columns = Array.from({ length: classes }, (_, one) => column(scores, sets, classes, one)).filter((one) => one !== undefined);
  if (columns.length === 0) throw new Error('no class has images in both sets of shards: mean average precision is of none');
  const all = sets.map((_, image) => image);
  const precisions = columns.map((one) => elevenPoints(cuts(one.scores, labelsOf(one, sets, all), one)));
  const areas = columns.map((one) => areaUnderCurve(cuts(one.scores, labelsOf(one, sets, all), one)));
  const map11 = mean(precisions);
  const random = new Random(seed, streamId('mean precision'));
  // A draw may hold no image of any class: it has no precision.
  const isKnown = (precision: number): boolean => !Number.isNaN(precision);
  const resampled = Array.from({ length: ROUNDS }, () => {
    const counts = new Int32Array(sets.length);
    for (let draw = 0; draw < sets.length; draw++) {
      const image = random.below(sets.length);
      counts[image] = (counts[image] ?? 0) + 1;
    }
    const each = columns.map((one) => {
      const drawn = one.images.map((image) => counts[image] ?? 0);
      return elevenPoints(cuts(one.scores, labelsOf(one, sets, all), { order: one.order, counts: drawn }));
    });
    return mean(each.filter(isKnown));
  }).filter(isKnown);
  // An image that is drawn twice is two neighbours in the ranking, which lifts precision: the interval is moved back by as much.
  const lift = mean(resampled) - map11;
  const interval = middle(resampled.map((value) => value - lift));
  const byChance = Array.from({ length: ROUNDS }, () => {
    const order = [...random.permutation(sets.length)];
    const each = columns.map((one) => elevenPoints(cuts(one.scores, labelsOf(one, sets, order), one)));
    return mean(each.filter(isKnown));
  }).filter(isKnown);
  const chanceInterval = middle(byChance);
  const byClass = new Map(columns.map(({ one }, at) => [one, precisions[at] ?? null]));
  return {
    map11,
    mapArea: mean(areas),
    interval,
    chance: mean(byChance),
    chanceInterval,
    verdict: map11 > chanceInterval[1] ? 'above chance' : map11 < chanceInterval[0] ? 'below chance' : 'within chance',
    classes: Array.from({ length: classes }, (_, one) => byClass.get(one) ?? null),
  };
}

/** Without the images of which the class is difficult; undefined where there is nothing to rank. */
function column(scores: Float32Array, sets: readonly ClassSet[], classes: number, one: number): Column | undefined {
  const images = sets.flatMap(({ difficult }, image) => (difficult.includes(one) ? [] : [image]));
  const values = Float32Array.from(images, (image) => scores[image * classes + one] ?? Number.NaN);
  if (values.some(Number.isNaN) || !images.some((image) => sets[image]?.present.includes(one))) return undefined;
  return { one, scores: values, order: byScore(values), images };
}

/** Whether the class is that of the images of a column, where image i has the labels of image `of[i]`. */
function labelsOf({ one, images }: Column, sets: readonly ClassSet[], of: readonly number[]): boolean[] {
  return images.map((image) => sets[of[image] ?? image]?.present.includes(one) ?? false);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** What 95 % of the values lie within; all there is, where there are none. */
function middle(values: readonly number[]): Interval {
  if (values.length === 0) return [0, 1];
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return [Math.max(0, at(0.025)), Math.min(1, at(0.975))];
}
