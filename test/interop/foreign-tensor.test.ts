/** Values of a tensor in somebody's file, wherever its strides say that they lie. */
import { expect, test } from '@jest/globals';
import { ForeignTensor, MOST_REPEATED } from '#dist/interop/foreign-tensor.js';

/** A tensor that lies in `held`. */
function tensor(held: readonly number[], shape: readonly number[], strides: readonly number[], offset = 0): ForeignTensor {
  const bytes = new Uint8Array(Float32Array.from(held).buffer);
  return new ForeignTensor('F32', shape, async () => bytes, { offset, strides });
}

test.each([
  ['one value', tensor([7], [4], [0]), [7, 7, 7, 7]],
  ['one value behind others', tensor([5, 6, 7], [2, 2], [0, 0], 2), [7, 7, 7, 7]],
  ['rows', tensor([1, 2, 3], [2, 3], [0, 1]), [1, 2, 3, 1, 2, 3]],
  ['columns', tensor([1, 2], [2, 3], [1, 0]), [1, 1, 1, 2, 2, 2]],
  ['nothing', tensor([7], [0, 4], [0, 0]), []],
])('a stride of 0 repeats %s', async (_, repeated, values) => {
  expect(await repeated.values()).toEqual(Float32Array.from(values));
});

test.each([
  ['a value behind the last', tensor([7], [4], [0], 1), 'has 1 value for its shape [4]'],
  ['rows behind the last', tensor([1, 2, 3], [2, 4], [0, 1]), 'has 3 values for its shape [2, 4]'],
  ['values that overlap otherwise', tensor([1, 2, 3], [2, 2], [1, 1]), 'has 3 values for its shape [2, 2]'],
  [
    'more values than any filter has',
    tensor([7], [MOST_REPEATED + 1], [0]),
    'repeats 1 value for its shape [4194305]: expected at most 4194304 values so; save its tensor.contiguous()',
  ],
  ['absurdly many', tensor([7], [2 ** 50, 2 ** 50], [0, 0]), 'repeats 1 value for its shape [1125899906842624, 1125899906842624]'],
])('%s are refused', async (_, bad, message) => {
  await expect(bad.values()).rejects.toThrow(message);
});
