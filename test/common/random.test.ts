import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { philox4x32, Random, streamId } from '#dist/common/random.js';

/** Random123's known answers (kat_vectors, philox4x32 10): counter, key, output. */
const KNOWN_ANSWERS = [
  ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
  ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
  ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
] as const;

const words = (text: string): number[] => text.split(' ').map((word) => Number.parseInt(word, 16));
const hex = (values: Iterable<number>): string => Array.from(values, (value) => value.toString(16).padStart(8, '0')).join(' ');
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });

/** Mean and standard deviation of n draws. */
function moments(n: number, draw: () => number): { mean: number; deviation: number } {
  const values = Array.from({ length: n }, draw);
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  return {
    mean,
    deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n),
  };
}

describe('Philox4x32-10', () => {
  test.each(KNOWN_ANSWERS)('counter %s, key %s', (counter, key, answer) => {
    const out = new Uint32Array(4);
    philox4x32(words(counter) as [number, number, number, number], words(key) as [number, number], out);
    expect(hex(out)).toBe(answer);
  });

  test('agrees with 64-bit arithmetic on any counter and key', () => {
    const reference = (counter: readonly number[], key: readonly number[]): string => {
      let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
      let [k0, k1] = key.map(BigInt) as [bigint, bigint];
      const low = 0xffff_ffffn;
      for (let round = 0; round < 10; round++) {
        const p0 = 0xd2511f53n * c0;
        const p1 = 0xcd9e8d57n * c2;
        [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & low, (p0 >> 32n) ^ c3 ^ k1, p0 & low];
        k0 = (k0 + 0x9e3779b9n) & low;
        k1 = (k1 + 0xbb67ae85n) & low;
      }
      return hex([c0, c1, c2, c3].map(Number));
    };
    fc.assert(
      fc.property(fc.tuple(uint32, uint32, uint32, uint32), fc.tuple(uint32, uint32), (counter, key) => {
        const out = new Uint32Array(4);
        philox4x32(counter, key, out);
        expect(hex(out)).toBe(reference(counter, key));
      }),
    );
  });
});

describe('Random', () => {
  test('a stream begins with the block of counter 0 and goes on with counter 1', () => {
    const random = new Random(11, 1, 2, 3, 4);
    const drawn = Array.from({ length: 8 }, () => random.uint32());
    const blocks = [0, 1].flatMap((block) => {
      const out = new Uint32Array(4);
      philox4x32([block, 1, 2, 3], [11, 4], out);
      return Array.from(out);
    });
    expect(drawn).toEqual(blocks);
  });

  test('every word of the name changes the stream', () => {
    const names = [[1], [2], [1, 1], [1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0, 1]] as const;
    const firsts = names.map(([seed, ...stream]) => new Random(seed, ...stream).uint32());
    expect(new Set(firsts).size).toBe(names.length);
  });

  test('uniform, between and normal have the moments of their distributions', () => {
    const random = new Random(5);
    const n = 20_000;
    // Four standard errors of the mean, and of the deviation for a normal number.
    const uniform = moments(n, () => random.uniform());
    expect(Math.abs(uniform.mean - 0.5)).toBeLessThan((4 * Math.sqrt(1 / 12)) / Math.sqrt(n));
    const between = moments(n, () => random.between(-3, 5));
    expect(Math.abs(between.mean - 1)).toBeLessThan((4 * 8 * Math.sqrt(1 / 12)) / Math.sqrt(n));
    const normal = moments(n, () => random.normal(10, 0.5));
    expect(Math.abs(normal.mean - 10)).toBeLessThan((4 * 0.5) / Math.sqrt(n));
    expect(Math.abs(normal.deviation - 0.5)).toBeLessThan((4 * 0.5) / Math.sqrt(2 * n));
  });

  test('below stays below, and permutation permutes', () => {
    fc.assert(
      fc.property(uint32, fc.integer({ min: 1, max: 50 }), (seed, n) => {
        const random = new Random(seed);
        const drawn = random.below(n);
        expect(Number.isInteger(drawn) && drawn >= 0 && drawn < n).toBe(true);
        expect(Array.from(random.permutation(n)).toSorted((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });
});

test('streamId is FNV-1a of the UTF-8 bytes', () => {
  expect(streamId('').toString(16)).toBe('811c9dc5');
  expect(streamId('a').toString(16)).toBe('e40c292c');
  expect(streamId('foobar').toString(16)).toBe('bf9cf968');
});
