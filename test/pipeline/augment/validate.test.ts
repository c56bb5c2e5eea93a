import { expect, test } from '@jest/globals';
import { MOST_GLOBAL_SIDE, MOST_PATCH_SIDE, recipes } from '#dist/pipeline/augment/recipes.js';
import { validateRecipe } from '#dist/pipeline/augment/validate.js';
import { createPipeline } from '#dist/pipeline/index.js';

const image = {
  kind: 'image',
  size: 32,
  crop: { op: 'randomResizedCrop', scale: [0.2, 1], ratio: [0.75, 1.33] },
  operations: [],
};
const jigsaw = { kind: 'jigsaw', patchSize: 64, cell: 85, crop: image.crop, operations: [] };
const multicrop = { kind: 'multicrop', crops: 6, size: 96, crop: image.crop, operations: [] };
const placed = { kind: 'placed', size: 32, crop: image.crop, sides: [16, 31], operations: [] };
const one = (view: unknown): unknown => ({ name: 'mine', views: { image: view } });

test.each(Object.entries(recipes))('the built-in recipe %s is valid and comes back equal', (_, make) => {
  expect(validateRecipe(make())).toEqual(make());
});

test.each([
  [
    'an unknown operation',
    one({ ...image, operations: [{ op: 'cutout', p: 1 }] }),
    /recipe\.views\.image\.operations\.0\.op is "cutout": .*grayscale/,
  ],
  ['a size that is no number', one({ ...image, size: NaN }), /recipe\.views\.image\.size is NaN: .*number/],
  ['a size of 0', one({ ...image, size: 0 }), /recipe\.views\.image\.size is 0: .*>=1/],
  ['a fractional size', one({ ...image, size: 22.4 }), /size is 22\.4: .*int/],
  ['a probability above 1', one({ ...image, operations: [{ op: 'grayscale', p: 2 }] }), /operations\.0\.p is 2: .*<=1/],
  [
    'a range upside down',
    one({ ...image, operations: [{ op: 'gaussianBlur', sigma: [2, 1], p: 1 }] }),
    /sigma is \[2,1\]: expected \[low, high\]/,
  ],
  ['a sigma the kernels cannot do', one({ ...image, operations: [{ op: 'gaussianBlur', sigma: [2, 9], p: 1 }] }), /sigma\.1 is 9: .*<=8/],
  ['a threshold beyond the levels', one({ ...image, operations: [{ op: 'solarize', threshold: 300, p: 1 }] }), /threshold is 300: .*<=256/],
  [
    'an operation on bytes that are no colours',
    one({ ...image, operations: [{ op: 'lab' }, { op: 'grayscale', p: 1 }] }),
    /operations\.1 is .*: expected nothing after lab/,
  ],
  [
    'a flip that would move a mask',
    one({
      ...image,
      operations: [
        { op: 'mask', scale: [0.1, 0.2], ratio: [1, 1] },
        { op: 'horizontalFlip', p: 1 },
      ],
    }),
    /operations\.1 is .*: expected nothing but masks after mask/,
  ],
  ['a mask of all', one({ ...image, operations: [{ op: 'mask', scale: [0.5, 1], ratio: [1, 1] }] }), /scale\.1 is 1: .*<=0\.9/],
  ['a patch larger than its cell', one({ ...jigsaw, patchSize: 90 }), /patchSize is 90: expected patchSize <= cell/],
  ['no crops', one({ ...multicrop, crops: 0 }), /recipe\.views\.image\.crops is 0: .*>=1/],
  ['more crops than anybody cuts', one({ ...multicrop, crops: 65 }), /crops is 65: .*<=64/],
  ['turns of no size', one({ ...image, kind: 'rotations', size: 0 }), /recipe\.views\.image\.size is 0: .*>=1/],
  [
    'a centred crop that is turned',
    one({ ...image, kind: 'rotations', crop: { op: 'centerCrop', fraction: 1 } }),
    /recipe\.views\.image\.crop\.op is "centerCrop": .*"randomResizedCrop"/,
  ],
  ['a crop larger than its canvas', one({ ...placed, sides: [16, 33] }), /sides is \[16,33\]: expected sides that fit into the view/],
  ['sides upside down', one({ ...placed, sides: [20, 16] }), /sides is \[20,16\]: expected \[low, high\] with low <= high/],
  [
    'an operation that would move a placed crop',
    one({ ...placed, operations: [{ op: 'randAugment', n: 2, magnitude: 10, magnitudeStd: 0.5, p: 0.5 }] }),
    /operations\.0\.op is "randAugment": .*horizontalFlip/,
  ],
  [
    'a misspelt option',
    one({ ...image, sise: 3 }),
    /^recipe\.views\.image\.sise is 3: no such entry; did you mean "size"\? Expected one of kind, size, crop, operations$/,
  ],
  [
    'a misspelt option of the whole',
    { ...recipes.detco(), nmae: 1 },
    /^recipe\.nmae is 1: no such entry; did you mean "name"\? Expected one of name, views$/,
  ],
  ['no views', { name: 'mine', views: {} }, /recipe\.views is \{\}: expected at least one view/],
  ['nothing', undefined, /recipe is undefined/],
])('%s is refused with its value', (_, recipe, message) => {
  const check = () => validateRecipe(recipe);
  expect(check).toThrow(RangeError);
  expect(check).toThrow(message);
});

test('createPipeline checks its recipe', async () => {
  const options = { shards: import.meta.filename, recipe: recipes.mocoV2({ globalSize: -1 }), batchSize: 1 };
  const created = createPipeline(options);
  await expect(created).rejects.toThrow(RangeError);
  await expect(created).rejects.toThrow('recipe.views.globalQ.size is -1');
});

test.each(Object.entries(recipes))('the built-in recipe %s can be had at the greatest sizes that commands take', (_, make) => {
  expect(validateRecipe(make({ globalSize: MOST_GLOBAL_SIDE, patchSize: MOST_PATCH_SIDE })).views).toBeDefined();
});

test('no greater ones than its blur can follow', () => {
  expect(() => validateRecipe(recipes.detco({ globalSize: MOST_GLOBAL_SIDE + 1 }))).toThrow(/globalQ.*sigma/);
  expect(() => validateRecipe(recipes.detco({ patchSize: MOST_PATCH_SIDE + 1 }))).toThrow(/patchesQ.*sigma/);
});
