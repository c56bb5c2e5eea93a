import { expect, test } from '@jest/globals';
import { setOf } from '#dist/pipeline/shard/set-of.js';

test.each([
  ['/data/train-000017.tar', '/data/train-001281.tar'],
  ['s3://bucket/cc3m-train-0001.tar', 's3://bucket/cc3m-train-0331.tar'],
  ['x/train-00017-of-01024.tar', 'x/train-00018-of-01024.tar'],
  ['https://host/train-001.tar?versionId=7', 'https://host/train-002.tar?versionId=9'],
  ['x/000.tar', 'x/001.tar'],
  ['x/n01440764.tar', 'x/n01443537.tar'],
])('%s and %s are of one set', (a, b) => {
  expect(setOf(a)).toBe(setOf(b));
});

test.each([
  ['/data/train-000.tar', '/data/val-000.tar'],
  ['x/cc3m-train-0001.tar', 'x/cc12m-train-0001.tar'],
  ['train/000.tar', 'val/000.tar'],
  ['x/train.tar', 'x/val.tar'],
])('%s and %s are of two', (a, b) => {
  expect(setOf(a)).not.toBe(setOf(b));
});
