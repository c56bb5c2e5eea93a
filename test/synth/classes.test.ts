import { expect, test } from '@jest/globals';
import { CLASSES, SHAPES, TEXTURES, classAt } from '#dist/synth/classes.js';

test('a class is a pair: neither the shape nor the texture alone names it', () => {
  expect(CLASSES.length).toBe(SHAPES.length * TEXTURES.length);
  expect(CLASSES.length).toBeGreaterThanOrEqual(20);
  expect(CLASSES.map(({ label }) => label)).toEqual(CLASSES.map((_, i) => i));
  expect(new Set(CLASSES.map(({ name }) => name)).size).toBe(CLASSES.length);
  for (const shape of SHAPES) expect(CLASSES.filter((c) => c.shape === shape).map((c) => c.texture)).toEqual([...TEXTURES]);
});

test.each([1, 23, 24, 100, 1000])('the first %i pictures are balanced to within one a class', (count) => {
  const counts = new Int32Array(CLASSES.length);
  for (let i = 0; i < count; i++) counts[classAt(5, i).label] = (counts[classAt(5, i).label] ?? 0) + 1;
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
});

test('the order differs from block to block and from seed to seed', () => {
  const order = (seed: number, first: number) => Array.from({ length: 24 }, (_, i) => classAt(seed, first + i).label).join();
  expect(new Set([order(1, 0), order(1, 24), order(1, 48), order(2, 0), order(2, 24)]).size).toBe(5);
});
