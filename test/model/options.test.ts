import { describe, expect, test } from '@jest/globals';
import { defaultBnGroups, methodOptions, methodPresets } from '#dist/model/index.js';

describe('methodOptions', () => {
  test("default to the paper's", () => {
    expect(methodOptions()).toEqual({
      arch: 'resnet50',
      width: 64,
      stem: 'imagenet',
      levels: { res2: 0.1, res3: 0.4, res4: 0.7, res5: 1 },
      terms: ['gg', 'll', 'gl'],
      head: 'mlp',
      dim: 128,
      queueSize: 65536,
      temperature: 0.2,
      keyMomentum: 0.999,
      bnGroups: 8,
    });
  });

  test.each([
    [{ arch: 'vgg16' }, /arch = "vgg16": expected one of .*resnet50/],
    [{ levels: {} }, /levels = \{\}: expected a weight for at least one of res2/],
    [{ levels: { res6: 1 } }, /levels = \{"res6":1\}: .*"res6"/],
    [{ levels: { res5: -1 } }, /levels\.res5 = -1: /],
    [{ terms: ['gg', 'lg'] }, /terms\.1 = "lg": .*"gl"/],
    [{ terms: ['gg', 'gg'] }, /terms = \["gg","gg"\]: expected each term once/],
    [{ terms: [] }, /terms = \[\]: /],
    [{ temperature: 0 }, /temperature = 0: /],
    [{ keyMomentum: 1.5 }, /keyMomentum = 1\.5: /],
    [{ queueLength: 5 }, /Unrecognized key: "queueLength"/],
  ])('%j is refused with its value', (input, message) => {
    expect(() => methodOptions(input as Parameters<typeof methodOptions>[0])).toThrow(message);
  });
});

describe('methodPresets', () => {
  test('MoCo v2 is DetCo at res5 with the term gg, MoCo v1 that with a linear head and temperature .07', () => {
    const { 'detco-r50': detco, 'moco-v2-r50': v2, 'moco-v1-r50': v1 } = methodPresets;
    expect(v2).toEqual({ ...detco, levels: { res5: 1 }, terms: ['gg'] });
    expect(v1).toEqual({ ...v2, head: 'linear', temperature: 0.07 });
  });
});

test.each([
  [256, 8],
  [16, 8],
  [8, 1], // one image a group would normalise each image by itself
  [20, 1],
])('a batch of %i has %i batch norm groups by default', (batch, groups) => {
  expect(defaultBnGroups(batch)).toBe(groups);
});
