import { expect, test } from '@jest/globals';
import { accuracyOf, confusionOf, Guesses } from '#dist/eval/classification.js';

/** Each image with its classes, best first. */
function guessed(rows: readonly (readonly number[])[]): Guesses {
  const guesses = new Guesses(rows.length);
  for (const [image, classes] of rows.entries()) guesses.set(image, classes);
  return guesses;
}

test('top-5 counts the first five guesses, and is left out of five classes or fewer', () => {
  const guesses = guessed([[0], [1, 0], [5, 4, 3, 2, 1, 0], [1, 2, 3, 4, 0, 5]]);
  const labels = [0, 0, 0, 0];
  expect(accuracyOf(guesses, labels, 6)).toMatchObject({ top1: 0.25, top5: 0.75 });
  expect(accuracyOf(guesses, labels, 5).top5).toBeUndefined();
});

test('chance is to name the commonest class, and an interval that holds it is within chance', () => {
  const labels = [...Array.from({ length: 60 }, () => 0), ...Array.from({ length: 40 }, () => 1)];
  const all = (guess: (label: number, image: number) => number) => guessed(labels.map((label, image) => [guess(label, image)]));
  const { chance, verdict } = accuracyOf(
    all((label) => label),
    labels,
    2,
  );
  expect([chance, verdict]).toEqual([0.6, 'above chance']);
  expect(
    accuracyOf(
      all(() => 0),
      labels,
      2,
    ).verdict,
  ).toBe('within chance');
  expect(
    accuracyOf(
      all((label) => 1 - label),
      labels,
      2,
    ).verdict,
  ).toBe('below chance');
});

test('scores are ranked, and an image with one that is not finite gets no guess', () => {
  const guesses = new Guesses(4);
  guesses.setByScores(0, Float32Array.of(0, 1, 2, NaN, -3, 0, 0, Infinity, 1), 3);
  guesses.setByScores(3, Float32Array.of(NaN, NaN, NaN), 3);
  expect([0, 1, 2, 3].map((image) => guesses.best(image))).toEqual([2, undefined, undefined, undefined]);
  expect(guesses.fewerThan(1)).toBe(3);
  // Neither class 0, nor the -1 of an image without a class, is what was guessed.
  expect(guesses.top(2, [1, 0, 0, 0])).toBe(0.25);
  expect(guesses.top(5, [1, -1, -1, -1])).toBe(0.25);
  expect([...confusionOf(guesses, [1, 1, 0, 0], 3)]).toEqual([0, 0, 0, 0, 0, 1, 0, 0, 0]);
});

test('a confusion matrix has what is right in rows and what was guessed in columns', () => {
  const guesses = guessed([[0], [1], [1], [2]]);
  expect([...confusionOf(guesses, [0, 0, 1, 1], 3)]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 0]);
});
