import { expect, test } from '@jest/globals';
import { expectedOneOf, nearestNames } from '#dist/common/nearest.js';

test('finds what was meant, across cases and separators', () => {
  expect(nearestNames('queue-size', ['batch', 'queueSize'])).toEqual(['queueSize']);
  expect(nearestNames('temprature', ['temperature', 'terms'])).toEqual(['temperature']);
  expect(nearestNames('zzzzzz', ['batch', 'queueSize'])).toEqual([]);
  expect(nearestNames('bacthSize', ['cacheSize', 'batchSize'])).toEqual(['batchSize']);
});

test('offers no other word beside one that differs by a slip, and a part of a name where none does', () => {
  const presets = ['detco-r50', 'tiny', 'moco-v2-r50', 'tiny-moco', 'simclr-r50', 'tiny-simclr', 'byol-r50', 'tiny-byol'];
  expect(nearestNames('tiny-simcl', presets)).toEqual(['tiny-simclr']);
  expect(nearestNames('tiny-bylo', presets)).toEqual(['tiny-byol']);
  expect(nearestNames('simclr', presets)).toEqual(['simclr-r50', 'tiny-simclr']);
  expect(nearestNames('queue', ['batch', 'queueSize'])).toEqual(['queueSize']);
});

test('lists everything when nothing is near', () => {
  expect(expectedOneOf('zzzzzz', ['a', 'b'])).toBe('expected one of a, b');
  for (const name of ['', 'x']) expect(expectedOneOf(name, ['gg', 'll'])).toBe('expected one of gg, ll');
});
