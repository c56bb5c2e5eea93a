/** The classes of a jigsaw, against a search through all permutations. */
import { describe, expect, test } from '@jest/globals';
import { patchesInPlace } from '#dist/model/methods/patch-places.js';
import { permutationSet } from '#dist/model/methods/permutation-set.js';

/** Of 0..n-1, in lexicographic order. */
function allPermutations(n: number): readonly (readonly number[])[] {
  const extend = (begun: readonly number[]): readonly (readonly number[])[] =>
    begun.length === n
      ? [begun]
      : Array.from({ length: n }, (_, cell) => cell)
          .filter((cell) => !begun.includes(cell))
          .flatMap((cell) => extend([...begun, cell]));
  return extend([]);
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let differing = 0;
  for (let place = 0; place < a.length; place++) differing += Number(a[place] !== b[place]);
  return differing;
}

/** Algorithm 1 of the paper, as it stands there. */
function searched(first: readonly number[], count: number): readonly (readonly number[])[] {
  const chosen = [first];
  let left = allPermutations(first.length);
  while (chosen.length < count) {
    const last = chosen.at(-1)?.join();
    left = left.filter((one) => one.join() !== last);
    const sums = left.map((one) => chosen.reduce((sum, other) => sum + distance(one, other), 0));
    chosen.push(left[sums.indexOf(Math.max(...sums))] ?? []);
  }
  return chosen;
}

describe('a set of permutations', () => {
  test.each([
    [3, 6],
    [4, 24],
    [5, 40],
  ])('of %i cells is what a search through all of them finds, up to %i', (cells, count) => {
    for (const seed of [0, 1, 2]) {
      const found = permutationSet(count, seed, cells).map((one) => Array.from(one));
      expect(found).toEqual(searched(found[0] ?? [], count));
    }
  });

  test('of nine cells has the distances of the paper: 8.00 in the mean for 1000 of them', () => {
    const set = permutationSet(1000, 0);
    for (const one of set) expect([...one].toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const distances = set.flatMap((one, i) => set.slice(0, i).map((other) => distance(one, other)));
    expect(Math.min(...distances.slice(0, 36))).toBe(9);
    expect(distances.reduce((least, one) => Math.min(least, one))).toBeGreaterThanOrEqual(2);
    expect(distances.reduce((sum, one) => sum + one) / distances.length).toBeGreaterThan(8);
  });

  test('is a function of the seed, and begins as a smaller one does', () => {
    const texts = (count: number, seed: number): string[] => permutationSet(count, seed).map((one) => one.join());
    expect(texts(50, 3)).toEqual(texts(50, 3));
    expect(texts(50, 3).slice(0, 20)).toEqual(texts(20, 3));
    expect(texts(50, 4)).not.toEqual(texts(50, 3));
  });
});

describe('where patches lie', () => {
  const picture = { image: { width: 4, height: 3 }, box: { left: 0, top: 0, width: 4, height: 3 }, flipped: false };

  test('is read from the order in which they were cut', () => {
    const order = [3, 0, 8, 1, 2, 4, 7, 6, 5];
    const [places] = patchesInPlace({ plans: { patches: [{ ...picture, jigsaw: { order } }] } }, 'patches');
    expect(order.map((cell) => places?.[cell])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('has to be known', () => {
    expect(() => patchesInPlace({ plans: {} }, 'patches')).toThrow('How the view "patches" was cut is not known');
    expect(() => patchesInPlace({ plans: { patches: [picture] } }, 'patches')).toThrow('Image 0 of the view "patches" was not cut');
  });
});
