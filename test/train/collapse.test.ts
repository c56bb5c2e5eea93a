import { expect, test } from '@jest/globals';
import { CollapseWatch } from '#dist/train/collapse.js';

/** Warnings seen over a run of `featureStd` values, by step. */
function warnings(values: readonly number[]): number[] {
  const watch = new CollapseWatch(64);
  return values.flatMap((featureStd, index) => (watch.observe({ step: index + 1, featureStd }) === undefined ? [] : [index + 1]));
}

test('a collapse that lasts is warned of once', () => {
  expect(warnings(Array.from({ length: 300 }, () => 1e-4))).toEqual([50]);
});

test('spread features, and a start that recovers, are not', () => {
  expect(warnings(Array.from({ length: 300 }, () => 1 / 8))).toEqual([]);
  expect(warnings(Array.from({ length: 300 }, (_, step) => (step < 40 ? 0 : 1 / 8)))).toEqual([]);
});

test('the warning tells the figure and the scale', () => {
  const watch = new CollapseWatch(64);
  const texts = Array.from({ length: 50 }, (_, step) => watch.observe({ step, featureStd: 0.001 }));
  expect(texts.at(-1)).toContain('featureStd is 0.0010 at step 49, where 0.13 means spread');
});
