import { expect, test } from '@jest/globals';
import { memberName, parseLabel } from '#dist/pipeline/shard/member.js';

test.each([
  ['a.jpg', 'a', 'image'],
  ['a.JPEG', 'a', 'image'],
  ['dir.x/sub/a.webp', 'dir.x/sub/a', 'image'],
  ['././dir/a.Png', 'dir/a', 'image'],
  ['a.cls', 'a', 'label'],
  ['a.seg.png', 'a', 'other'],
  ['a.', 'a', 'other'],
  ['/abs/a.jpg', '/abs/a', 'image'],
])('memberName(%s)', (path, key, kind) => {
  expect(memberName(path)).toEqual({ key, kind });
});

test.each(['a', '.hidden.jpg', 'dir/.jpg', 'dir.x/a', '', 'dir/'])('memberName(%s) has no key', (path) => {
  expect(memberName(path)).toBeUndefined();
});

test.each([
  ['0', 0],
  [' 999\n', 999],
  ['-1', -1],
  ['', undefined],
  ['1.5', undefined],
  ['1e3', undefined],
  ['0x10', undefined],
  ['cat', undefined],
  ['99999999999999999999', undefined],
])('parseLabel(%j) is %p', (text, label) => {
  expect(parseLabel(text)).toBe(label);
});
