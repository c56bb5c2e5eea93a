import { describe, expect, test } from '@jest/globals';
import { Random } from '#dist/common/random.js';
import { comeBefore, ShuffleBuffer, shuffled } from '#dist/pipeline/plan/shuffle.js';
import fc from 'fast-check';

describe('shuffled', () => {
  async function* numbers(n: number): AsyncGenerator<number> {
    for (let i = 0; i < n; i++) yield i;
  }
  const collect = async (n: number, size: number, seed: number) => {
    const out: number[] = [];
    for await (const item of shuffled(numbers(n), new ShuffleBuffer(size, new Random(seed)))) out.push(item);
    return out;
  };

  test('is a permutation that depends on the seed alone', async () => {
    const once = await collect(500, 64, 3);
    expect(once.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(await collect(500, 64, 3)).toEqual(once);
    expect(await collect(500, 64, 4)).not.toEqual(once);
  });

  test('an item moves ahead by no more than the buffer holds', async () => {
    const order = await collect(2000, 64, 9);
    order.forEach((item, place) => expect(item).toBeLessThan(place + 64));
    const moved = order.filter((item, place) => Math.abs(item - place) > 16).length;
    expect(moved).toBeGreaterThan(1000);
  });
});

describe('comeBefore', () => {
  test('is the number of items that have come when so many have left', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.integer({ min: 0, max: 80 }), (left, size) => {
        const buffer = new ShuffleBuffer<number>(size, new Random(1));
        let come = 0;
        for (let out = 0; out < left;) out += buffer.push(come++).length;
        expect(comeBefore(left, size)).toBe(come);
      }),
    );
  });
});
