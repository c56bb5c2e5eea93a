/** Tensors that pass between ranks, as an engine's `Ranks` has them. */
import { beforeAll, expect, test } from '@jest/globals';
import { whereRanks } from './available.js';
import { runRanks } from './run-ranks.js';

const SIZE = 3;

interface Seen {
  readonly means: readonly unknown[];
  readonly gathered: readonly number[];
  readonly exchanged: readonly number[];
  readonly expected: readonly number[];
  readonly variable: readonly number[];
  readonly recorded: readonly number[];
  readonly traffic: { readonly calls: number; readonly bytes: number };
}

const where = await whereRanks();

where.describe(`collectives${where.note}`, () => {
  let ranks: Seen[] = [];
  beforeAll(async () => {
    ranks = await runRanks<Seen>('test/ranks/collectives.mjs', SIZE, {});
  }, 240_000);

  test('means, tensors in rank order, and the values of rank 0', () => {
    for (const seen of ranks) {
      expect(seen.means).toEqual([[1, 2], [10], true]);
      expect(seen.gathered).toEqual([0, 0, 1, -1, 2, -2]);
      expect(seen.variable).toEqual([0, 1]);
    }
  });

  test('images go as bytes, and come as the engine normalises them', () => {
    for (const { exchanged, expected } of ranks) expect(exchanged).toEqual(expected);
  });

  test('a recorded step makes them in the same order on every rank, and gives what it gave before', () => {
    // Means of i (r + c), and sums over ranks of i (r + c)^2, over i of 1..6.
    const expected = [0, 1, 2, 3, 4].map((call) => {
      const own = [0, 1, 2].map((rank) => rank + call);
      return 21 * (own.reduce((sum, x) => sum + x, 0) / SIZE + own.reduce((sum, x) => sum + x * x, 0));
    });
    for (const { recorded } of ranks) expect(recorded).toEqual(expected);
  });

  test('every call and byte is counted', () => {
    // Six means and six gathers of one float, in five calls.
    for (const { traffic } of ranks) expect(traffic).toEqual({ calls: 60, bytes: 240 });
  });
});
