import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';

/** Lines on stderr, which is no terminal, of work that updates its display so. */
function shown(format: string, updates: string): string[] {
  const program =
    `import { watch } from './dist/cli/watch.js';` +
    `await watch({ format: ${JSON.stringify(format)}, interrupted: 'interrupted' }, async ({ update }) => { ${updates} });`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  return stderr.split('\n').slice(0, -1);
}

test('plain lines have the words of the format, the first one at once and the last one at the end', () => {
  const updates = 'update(1, 3, { images: 7 }); update(2, 3, { images: 8 }); update(3, 3, { images: 9 });';
  expect(shown('shard {images} images, {value}/{total} ({percentage} %)', updates)).toEqual([
    'shard 7 images, 1/3 (33 %)',
    'shard 9 images, 3/3 (100 %)',
  ]);
});

test('a plain line that says what the one before it said is left out', () => {
  expect(shown('{value} of {total}', 'update(4, 4); update(4, 4);')).toEqual(['4 of 4']);
});

test('work that shows nothing prints nothing', () => {
  expect(shown('', 'update(0, 1);')).toEqual([]);
  expect(shown('{value}', '')).toEqual([]);
});
