import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { METHOD_NAMES, METHOD_PRESETS, methodKind, type MethodInput, methodOptions } from '#dist/model/index.js';

describe('methodOptions', () => {
  test("default to the paper's", () => {
    expect(methodOptions({ name: 'detco' })).toEqual({
      name: 'detco',
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
    [{ levels: { res6: 1 } }, /levels = \{"res6":1\}: no "res6": did you mean "res2" or .* Expected one of res2, res3, res4, res5$/],
    [{ levels: { res5: -1 } }, /levels\.res5 = -1: /],
    [{ terms: ['gg', 'lg'] }, /terms\.1 = "lg": .*"gl"/],
    [{ terms: ['gg', 'gg'] }, /terms = \["gg","gg"\]: expected each term once/],
    [{ terms: [] }, /terms = \[\]: /],
    [{ temperature: 0 }, /temperature = 0: /],
    [{ keyMomentum: 1.5 }, /keyMomentum = 1\.5: /],
    [{ queSize: 5 }, /no "queSize": did you mean "queueSize"\? Expected one of name, arch, /],
    [{ strength: 5 }, /no "strength": expected one of name, arch, /],
  ])('%j is refused with its value', (input, message) => {
    expect(() => methodOptions({ name: 'detco', ...input } as MethodInput)).toThrow(message);
  });
});

describe('presets', () => {
  test("MoCo's have its options at its papers' values", () => {
    const options = (preset: string) => methodOptions(METHOD_PRESETS[preset]?.method as MethodInput);
    const v2 = {
      name: 'moco',
      arch: 'resnet50',
      width: 64,
      stem: 'imagenet',
      head: 'mlp',
      dim: 128,
      queueSize: 65536,
      temperature: 0.2,
      keyMomentum: 0.999,
      bnGroups: 8,
    };
    expect(options('moco-v2-r50')).toEqual(v2);
    expect(options('moco-v1-r50')).toEqual({ ...v2, head: 'linear', temperature: 0.07 });
  });

  test('docs/methods.md names all of them, and all methods', async () => {
    const text = await readFile('docs/methods.md', 'utf8');
    for (const name of [...METHOD_NAMES, ...Object.keys(METHOD_PRESETS)]) expect(text).toContain(`\`${name}\``);
  });

  test('an unknown method is quoted, with those that there are', () => {
    expect(() => methodKind('moko')).toThrow('unknown method "moko": expected detco, moco');
    expect(() => methodOptions({ name: 'moko' } as unknown as MethodInput)).toThrow(/name = "moko"/);
  });
});

test.each([
  [256, 8],
  [16, 8],
  [8, 1], // one image a group would normalise each image by itself
  [20, 1],
])('a batch of %i that 7 groups do not divide has %i batch norm groups, unless they are chosen', (batch, groups) => {
  const { fit } = methodKind('detco');
  const options = methodOptions({ name: 'detco', bnGroups: 7 });
  expect(fit?.(options, batch, new Set())).toEqual({ ...options, bnGroups: groups });
  expect(fit?.(options, batch, new Set(['bnGroups']))).toBe(options);
});
