import { expect, test } from '@jest/globals';
import { expectedOneOf, nearestNames } from '#dist/common/nearest.js';

test('finds what was meant, across cases and separators', () => {
  expect(nearestNames('queue-size', ['batch', 'queueSize'])).toEqual(['queueSize']);
  expect(nearestNames('temprature', ['temperature', 'terms'])).toEqual(['temperature']);
  expect(nearestNames('zzzzzz', ['batch', 'queueSize'])).toEqual([]);
});

test('lists everything when nothing is near', () => {
  expect(expectedOneOf('zzzzzz', ['a', 'b'])).toBe('expected one of a, b');
});
