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

test('scores are ranked, and what is no number comes last', () => {
  const guesses = new Guesses(2);
  guesses.setByScores(0, Float32Array.of(NaN, 1, 2, NaN, -3, 0), 3);
  expect([guesses.best(0), guesses.best(1)]).toEqual([2, 2]);
  expect(guesses.top(2, [1, 1])).toBe(1);
  expect(guesses.top(2, [0, 0])).toBe(0);
});

test('a confusion matrix has what is right in rows and what was guessed in columns', () => {
  const guesses = guessed([[0], [1], [1], [2]]);
  expect([...confusionOf(guesses, [0, 0, 1, 1], 3)]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 0]);
});
