import { expect, test } from '@jest/globals';
import { memberName, parseLabel } from '#dist/pipeline/shard/member.js';

test.each([
  ['a.jpg', 'a', 'jpg'],
  ['a.JPEG', 'a', 'jpeg'],
  ['dir.x/sub/a.webp', 'dir.x/sub/a', 'webp'],
  ['././dir/a.Png', 'dir/a', 'png'],
  ['a.cls', 'a', 'cls'],
  ['a.seg.png', 'a', 'seg.png'],
  ['a.', 'a', ''],
  ['/abs/a.jpg', '/abs/a', 'jpg'],
])('memberName(%s)', (path, key, field) => {
  expect(memberName(path)).toEqual({ key, field });
});

test('memberName of a name of millions of folders comes before the end of the test', () => {
  const here = './'.repeat(1_000_000);
  for (const end of ['first dot', 'last dot'] as const) {
    expect(memberName(`${here}a`, end)).toBeUndefined();
    expect(memberName(`${here}a.jpg`, end)).toEqual({ key: 'a', field: 'jpg' });
  }
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
