/** Counts in messages are of one thing or of several. */
import { expect, test } from '@jest/globals';
import { counted } from '#dist/common/counted.js';
import { LEFT_OUT_KINDS } from '#dist/pipeline/shard/left-out.js';

test.each([
  [0, 'shard', '0 shards'],
  [1, 'shard', '1 shard'],
  [2, 'class', '2 classes'],
  [2, 'batch', '2 batches'],
  [2, 'index', '2 indexes'],
  [1, 'file without image', '1 file without image'],
  [2, 'file without image', '2 files without image'],
  [3, 'tail behind the end', '3 tails behind the end'],
  [3, 'member of unknown type', '3 members of unknown type'],
])('%i %s', (count, noun, text) => expect(counted(count, noun)).toBe(text));

test('each reason to leave a member out has a plural of its own', () => {
  expect(LEFT_OUT_KINDS.filter((kind) => counted(2, kind) === `2 ${kind}`)).toEqual([]);
});
