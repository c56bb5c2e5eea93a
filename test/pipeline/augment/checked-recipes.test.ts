import { expect, test } from '@jest/globals';
import { recipes } from '#dist/pipeline/index.js';
import { recipes as unchecked } from '#dist/pipeline/augment/recipes.js';

test.each<[keyof typeof recipes, unknown, string]>([
  ['detco', { globalsize: 32 }, 'no "globalsize": did you mean "globalSize"? Expected one of globalSize, patchSize, randAugment'],
  ['simclr', { patchSize: 3 }, 'no "patchSize": expected one of globalSize, strength'],
  ['evaluation', { size: 32 }, 'no "size": did you mean "globalSize"? Expected one of globalSize'],
  ['detco', { randAugment: 'no' }, 'randAugment is "no": expected true or false'],
  ['mocoV1', { globalSize: NaN }, 'globalSize is NaN: '],
  ['simclr', { strength: 3 }, 'strength is 3: Too big: expected number to be <=2.5'],
  ['byol', { globalSize: 897 }, 'globalSize is 897: Too big: expected number to be <=896'],
  ['pirl', { patchSize: 257 }, 'patchSize is 257: Too big: expected number to be <=256'],
  ['swav', { crops: 0 }, 'crops is 0: Too small: expected number to be >=1'],
  ['swav', { localSize: 897 }, 'localSize is 897: Too big: expected number to be <=896'],
  ['linear', 224, '224 holds no options; expected an object, such as { globalSize: 224 }'],
])('%s of %j is refused', (name, options, problem) => {
  const make = (): unknown => recipes[name](options as object);
  expect(make).toThrow(RangeError);
  expect(make).toThrow(`recipes.${name}: ${problem}`);
});

test('what is given is what the recipes are made with', () => {
  expect(Object.keys(recipes).toSorted()).toEqual(Object.keys(unchecked).toSorted());
  for (const [name, make] of Object.entries(recipes))
    expect(make()).toEqual(Object.entries(unchecked).find(([other]) => other === name)?.[1]());
  const options = { globalSize: 64, patchSize: 32, randAugment: false };
  expect(recipes.detco(options)).toEqual(unchecked.detco(options));
  expect(recipes.simclr({ strength: 0.5 })).toEqual(unchecked.simclr({ strength: 0.5 }));
});
