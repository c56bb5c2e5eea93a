import { expect, test } from '@jest/globals';
import { evalProgress } from '#dist/cli/eval-progress.js';

test('marks a number of images that is an estimate, and no other', () => {
  const shown: string[] = [];
  const progress = evalProgress((_done, _total, words) => shown.push(String(words?.['text'])));
  progress({ work: 'training images', done: 64, total: 1248, estimated: true });
  progress({ work: 'training images', done: 1280, total: 1248, estimated: true });
  progress({ work: 'validation images', done: 64, total: 432, estimated: false });
  progress({ work: 'neighbours', done: 1, total: 4 });
  progress({ work: 'images', done: 1, total: undefined });
  expect(shown.map((text) => text.replace(/, ETA .*/, ''))).toEqual([
    'training images 64 of ~1248',
    'training images 1280 of ~1280',
    'validation images 64 of 432',
    'neighbours 1 of 4',
    'images 1 of ?',
  ]);
});
