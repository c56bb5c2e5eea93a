/** Which images are normalised together does not depend on how many ranks make a batch. */
import { describe, expect, test } from '@jest/globals';
import { rowOrder } from '#dist/train/row-order.js';

const BATCH = 48;
const GROUPS = 8;

/** Numbers of the images of each batch norm group, as `size` ranks have them. */
function groupsOf(size: number): number[][] {
  const [share, groups] = [BATCH / size, GROUPS / size];
  const { rows } = rowOrder(share, groups, size);
  const numbers = rows ? [...rows] : Array.from({ length: BATCH }, (_, row) => row);
  const length = share / groups;
  return Array.from({ length: GROUPS }, (_, group) => numbers.slice(group * length, (group + 1) * length).toSorted((a, b) => a - b));
}

describe('the order of rows', () => {
  test('groups of one process are every eighth image, and those of 2, 4 and 8 ranks the same', () => {
    const alone = groupsOf(1);
    expect(alone[3]).toEqual([3, 11, 19, 27, 35, 43]);
    const byFirst = (groups: readonly number[][]) => groups.toSorted(([a = 0], [b = 0]) => a - b);
    for (const size of [2, 4, 8]) expect(byFirst(groupsOf(size))).toEqual(alone);
  });

  test('the images of rank r of W are numbers r, r + W, ..., as its lanes read them', () => {
    const { order, rows } = rowOrder(6, 2, 4);
    expect([...(order ?? [])]).toEqual([0, 2, 4, 1, 3, 5]);
    expect([...(rows ?? [])].slice(6, 12)).toEqual([1, 9, 17, 5, 13, 21]);
    expect([...(rows ?? [])].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, row) => row));
  });

  test('one process with one group has its images as they come', () => {
    expect(rowOrder(8, 1, 1)).toEqual({ order: undefined, rows: undefined });
    expect(rowOrder(4, 1, 2).order).toBeUndefined();
  });
});
