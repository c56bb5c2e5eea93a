import { expect, test } from '@jest/globals';
import { comparedInWords } from '#dist/train/run-shards.js';

test('what was compared of one shard is counted as one', () => {
  const none = { moved: 0, versions: 0, contents: 0, samples: 0 };
  expect(comparedInWords({ ...none, shards: 1, sizes: 1 })).toBe('data: the shards of the run; compared 1 name, 1 size');
  expect(comparedInWords({ ...none, shards: 2, sizes: 2 })).toBe('data: the shards of the run; compared 2 names, 2 sizes');
});
