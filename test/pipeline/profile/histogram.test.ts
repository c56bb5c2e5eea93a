import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BUCKETS, bucketOf, bucketStart, quantile } from '#dist/pipeline/profile/histogram.js';

test('a duration lies in its bucket', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 3_000_000, noNaN: true }), (ms) => {
      const bucket = bucketOf(ms);
      expect(bucketStart(bucket)).toBeLessThanOrEqual(ms * (1 + 1e-9));
      expect(bucketStart(bucket + 1)).toBeGreaterThanOrEqual(ms * (1 - 1e-9));
    }),
  );
  expect([bucketOf(0), bucketOf(1e-9), bucketOf(1e12)]).toEqual([0, 0, BUCKETS - 1]);
});

test('a quantile is right to within 9 %', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.002, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.9, 0.99, 1),
      (durations, q) => {
        const histogram = Array.from({ length: BUCKETS }, () => 0);
        for (const ms of durations) histogram[bucketOf(ms)] = (histogram[bucketOf(ms)] ?? 0) + 1;
        const exact = durations.toSorted((a, b) => a - b)[Math.ceil(q * durations.length) - 1] ?? NaN;
        expect(quantile(histogram, q) / exact).toBeGreaterThan(1 / 1.0906);
        expect(quantile(histogram, q) / exact).toBeLessThan(1.0906);
      },
    ),
  );
  expect(quantile([], 0.5)).toBe(0);
});
