/** How often guesses are right, and what that is worth. */
import { type Interval, wilson } from './interval.js';

/** Guesses an image that are kept: what top-5 accuracy reads. */
export const KEPT = 5;
const NONE = -1;

/** For each image the classes that it is most likely of, best first. */
export class Guesses {
  readonly images: number;
  readonly #classes: Int32Array;

  constructor(images: number) {
    this.images = images;
    this.#classes = new Int32Array(images * KEPT).fill(NONE);
  }

  /** @param classes best first; those past the fifth are dropped */
  set(image: number, classes: readonly number[]): void {
    this.#classes.set(classes.slice(0, KEPT), image * KEPT);
  }

  /**
   * The classes by their scores, [images, classes] row-major, of images from `first` on. An image with a score that is not finite gets no
   * guess: a classifier that gives one has diverged, and the order of its other scores means nothing.
   */
  setByScores(first: number, scores: Float32Array, classes: number): void {
    for (let row = 0; row * classes < scores.length; row++) {
      const of = scores.subarray(row * classes, (row + 1) * classes);
      if (!of.every(Number.isFinite)) continue;
      const value = (one: number) => of[one] ?? 0;
      this.set(
        first + row,
        Array.from(of, (_, one) => one).toSorted((a, b) => value(b) - value(a) || a - b),
      );
    }
  }

  /** The likeliest class; undefined for an image without a guess. */
  best(image: number): number | undefined {
    const found = this.#classes[image * KEPT] ?? NONE;
    return found === NONE ? undefined : found;
  }

  /** Images with fewer than `k` guesses, of which at most five are kept. */
  fewerThan(k: number): number {
    const last = Math.min(k, KEPT) - 1;
    return Array.from({ length: this.images }, (_, image) => this.#classes[image * KEPT + last]).filter((guess) => guess === NONE).length;
  }

  /** Share of the images whose class is among the first `k` guesses, [0, 1]. */
  top(k: number, labels: readonly number[]): number {
    const right = labels.filter((label, image) => label !== NONE && this.#classes.subarray(image * KEPT, image * KEPT + k).includes(label));
    return right.length / labels.length;
  }
}

export type Verdict = 'above chance' | 'within chance' | 'below chance';

export interface Accuracy {
  readonly top1: number;
  /** Absent where there are five classes or fewer; of as many guesses as there are where an image has fewer than five. */
  readonly top5?: number;
  /** Of top-1, 95 % (Wilson). */
  readonly interval: Interval;
  /** Top-1 of who names the commonest class each time. */
  readonly chance: number;
  readonly verdict: Verdict;
}

/** @param labels what is right, image by image */
export function accuracyOf(guesses: Guesses, labels: readonly number[], classes: number): Accuracy {
  const top1 = guesses.top(1, labels);
  const interval = wilson(Math.round(top1 * labels.length), labels.length);
  const chance = Math.max(...tally(labels).values()) / labels.length;
  return { top1, ...(classes > KEPT && { top5: guesses.top(KEPT, labels) }), interval, chance, verdict: verdictOf(interval, chance) };
}

export function verdictOf([low, high]: Interval, chance: number): Verdict {
  if (low > chance) return 'above chance';
  return high < chance ? 'below chance' : 'within chance';
}

/** How many images each class has. */
export function tally(labels: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

/** Images of class r that are taken for class c: [classes, classes], row-major. */
export function confusionOf(guesses: Guesses, labels: readonly number[], classes: number): Uint32Array {
  const counts = new Uint32Array(classes * classes);
  for (const [image, label] of labels.entries()) {
    const guess = guesses.best(image);
    if (guess === undefined) continue;
    const at = label * classes + guess;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}
