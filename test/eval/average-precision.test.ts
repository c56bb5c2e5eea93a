import { expect, test } from '@jest/globals';
import { areaUnderCurve, averagePrecision, cuts, elevenPoints } from '#dist/eval/average-precision.js';
import { golden } from './reference.js';

test.each(golden.svm.classes.map((one, label) => ({ ...one, label })))(
  'class $label has the three average precisions of the reference',
  ({ scores, label, ...expected }) => {
    const ranking = cuts(
      scores,
      golden.valLabels.map((one) => one === label),
    );
    expect(averagePrecision(ranking)).toBeCloseTo(expected.averagePrecision, 12);
    expect(areaUnderCurve(ranking)).toBeCloseTo(expected.area, 12);
    expect(elevenPoints(ranking)).toBeCloseTo(expected.elevenPoints, 12);
  },
);

test('counts recalls of exactly 0.3, 0.6 and 0.7', () => {
  // Ten images of the class come first: precision is 1 at every recall.
  const positive = Array.from({ length: 30 }, (_, index) => index < 10);
  const scores = positive.map((_, index) => -index);
  expect(elevenPoints(cuts(scores, positive))).toBe(1);
  // Three of ten come first, then the rest after as many others: precision 1 up to a recall of 0.3 alone.
  const late = [...positive.slice(0, 3), ...positive.slice(10), ...positive.slice(3, 10)];
  const precision = elevenPoints(cuts(scores, late));
  const after = Math.max(...[4, 5, 6, 7, 8, 9, 10].map((right) => right / (right + 20)));
  expect(precision).toBeCloseTo((4 + 7 * after) / 11, 12);
});

test('takes images of one score together, in whatever order they come', () => {
  const scores = [1, 1, 1, 0];
  const first = cuts(scores, [true, false, false, false]);
  expect(cuts(scores, [false, false, true, false])).toEqual(first);
  expect(averagePrecision(first)).toBeCloseTo(1 / 3, 12);
});

test('an image that is there twice counts twice', () => {
  const positive = [true, false, true];
  const twice = cuts([3, 2, 1], positive, { counts: [2, 1, 0] });
  expect(twice).toEqual([{ found: 2, right: 2 }]);
});

test('is no number without an image of the class', () => {
  const none = cuts([3, 2, 1], [false, false, false]);
  expect([averagePrecision, areaUnderCurve, elevenPoints].map((of) => of(none))).toEqual([NaN, NaN, NaN]);
});
