import { expect, test } from '@jest/globals';
import { wilson } from '#dist/eval/interval.js';
import { golden } from './reference.js';

test.each(golden.wilson)('$right of $of has the interval that SciPy gives', ({ right, of, interval: [low, high] }) => {
  const [from, to] = wilson(right, of);
  expect(from).toBeCloseTo(low, 12);
  expect(to).toBeCloseTo(high, 12);
});
