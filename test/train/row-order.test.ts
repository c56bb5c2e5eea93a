/** Which images are normalised together does not depend on how many ranks make a batch. */
import { describe, expect, test } from '@jest/globals';
import { rowOrder } from '#dist/train/row-order.js';
import { stepSamples } from '#dist/train/step-samples.js';

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

describe('what is known of the images of a step', () => {
  const drawn = (image: number) => ({
    image: { width: image, height: 1 },
    box: { left: 0, top: 0, width: 1, height: 1 },
    flipped: false,
    steps: [],
  });
  const samples = [7, 3, 5, 9].map((ordinal) => ({ shard: 'a.tar', index: ordinal, key: `${ordinal}`, ordinal }));
  const plans = { one: [0, 1, 2, 3].map(drawn), crops: [0, 0, 1, 1, 2, 2, 3, 3].map(drawn) };

  test('follows their order, every picture of a view with its image', () => {
    const { order } = rowOrder(4, 2, 1);
    expect([...(order ?? [])]).toEqual([0, 2, 1, 3]);
    const found = stepSamples({ samples, plans }, order);
    expect(found.ordinals).toEqual(Int32Array.of(7, 5, 3, 9));
    expect(found.plans['one']?.map(({ image }) => image.width)).toEqual([0, 2, 1, 3]);
    expect(found.plans['crops']?.map(({ image }) => image.width)).toEqual([0, 0, 2, 2, 1, 1, 3, 3]);
  });

  test('stays as it comes without one, and has no ordinals where the pipeline gave none', () => {
    const unnumbered = samples.map(({ shard, index, key }) => ({ shard, index, key }));
    const found = stepSamples({ samples: unnumbered, plans });
    expect(found.ordinals).toBeUndefined();
    expect(found.plans).toBe(plans);
  });
});
