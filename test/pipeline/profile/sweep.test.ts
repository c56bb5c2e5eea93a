import { expect, test } from '@jest/globals';
import { knee, sweepWorkers } from '#dist/pipeline/profile/index.js';

test('tries few numbers of workers on large machines, and one more than there are cores', () => {
  expect(sweepWorkers(1, 16)).toEqual([1, 2]);
  expect(sweepWorkers(2, 16)).toEqual([1, 2, 3]);
  expect(sweepWorkers(2.5, 16)).toEqual([1, 2, 3]);
  expect(sweepWorkers(96, 128)).toEqual([1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72, 97]);
  // No more workers than lanes.
  expect(sweepWorkers(96, 16)).toEqual([1, 2, 3, 4, 6, 9, 14, 16]);
});

test('the knee is the fewest workers that come near the best', () => {
  const points = [100, 195, 260, 262, 250].map((imagesPerSecond, i) => ({ workers: i + 1, imagesPerSecond, cores: 1 }));
  expect(knee(points)).toBe(3);
  expect(knee(points.slice(0, 1))).toBe(1);
});
