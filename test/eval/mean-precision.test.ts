import { expect, test } from '@jest/globals';
import { Random } from '#dist/common/random.js';
import { meanPrecision } from '#dist/eval/mean-precision.js';
import { golden } from './reference.js';

const CLASSES = 4;
const random = new Random(11);
const sets = Array.from({ length: 120 }, (_, image) => ({
  present: [image % CLASSES, ...(image % 5 === 0 ? [(image + 1) % CLASSES] : [])],
  difficult: image % 7 === 0 ? [(image + 2) % CLASSES] : [],
}));
const scores = (of: (image: number, one: number) => number): Float32Array =>
  Float32Array.from({ length: sets.length * CLASSES }, (_, at) => of(Math.floor(at / CLASSES), at % CLASSES));

test('is the mean over the classes of the reference, with an interval around it', () => {
  const { classes } = golden.svm;
  const all = Float32Array.from({ length: golden.valLabels.length * golden.classes }, (_, at) => {
    const [image, one] = [Math.floor(at / golden.classes), at % golden.classes];
    return classes[one]?.scores[image] ?? NaN;
  });
  const labels = golden.valLabels.map((label) => ({ present: [label], difficult: [] }));
  const { map11, mapArea, interval, chance, verdict } = meanPrecision(all, labels, golden.classes, 0);
  const mean = (of: (one: (typeof classes)[number]) => number) => classes.reduce((sum, one) => sum + of(one), 0) / classes.length;
  expect(map11).toBeCloseTo(
    mean((one) => one.elevenPoints),
    4,
  );
  expect(mapArea).toBeCloseTo(
    mean((one) => one.area),
    4,
  );
  expect(interval[0]).toBeLessThan(map11);
  expect(interval[1]).toBeGreaterThan(map11);
  expect(chance).toBeGreaterThan(0.2);
  expect(chance).toBeLessThan(0.3);
  expect(verdict).toBe('above chance');
});

test('scores that know nothing are within chance, in all but one of twenty draws', () => {
  const verdicts = Array.from(
    { length: 20 },
    (_, seed) =>
      meanPrecision(
        scores(() => random.normal()),
        sets,
        CLASSES,
        seed,
      ).verdict,
  );
  expect(verdicts.filter((verdict) => verdict === 'within chance').length).toBeGreaterThanOrEqual(17);
});

test('images of which a class is difficult do not count for it', () => {
  // Right about all that count, wrong about the difficult ones.
  const judged = meanPrecision(
    scores((image, one) => (sets[image]?.present.includes(one) || sets[image]?.difficult.includes(one) ? 1 : 0)),
    sets,
    CLASSES,
    0,
  );
  expect(judged.map11).toBe(1);
});

test('leaves out classes without an image or without a score', () => {
  const some = Float32Array.from(
    scores((image, one) => (sets[image]?.present.includes(one) ? 1 : 0)),
    (value, at) => (at % CLASSES === 2 ? NaN : value),
  );
  const judged = meanPrecision(some, sets, CLASSES, 0);
  expect(judged.classes).toEqual([1, 1, null, 1]);
  expect(() => meanPrecision(new Float32Array(8).fill(NaN), sets.slice(0, 2), CLASSES, 0)).toThrow('no class has images');
});

test('a few images, of which a draw may hold none of the class, have an interval of numbers', () => {
  const few = [0, 1, 1].map((one) => ({ present: [one], difficult: [] }));
  const { interval, chanceInterval } = meanPrecision(Float32Array.from([0.9, NaN, 0.5, NaN, 0.1, NaN]), few, 2, 3);
  for (const [low, high] of [interval, chanceInterval]) {
    expect(low).toBeGreaterThanOrEqual(0);
    expect(low).toBeLessThanOrEqual(high);
    expect(high).toBeLessThanOrEqual(1);
  }
});
