/** Paths in commands that messages suggest survive being typed in a shell. */
import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { DataError } from '#dist/train/data-error.js';
import { shellWord } from '#dist/common/shell-word.js';

const WORDS = [
  '/data/my runs/x',
  "it's",
  '$HOME',
  '`id`',
  '~',
  'a-{0..3}.tar',
  '*',
  'a&b;c|d',
  '"q"',
  'back\\slash',
  '!1',
  '',
  '犬',
  'a\nb',
];

test.each(['sh', 'bash'])('%s reads back each word as it was', (shell) => {
  const { stdout } = spawnSync(shell, ['-c', `printf '%s\\0' ${WORDS.map(shellWord).join(' ')}`], { encoding: 'utf8' });
  expect(stdout.split('\0').slice(0, -1)).toEqual(WORDS);
});

test('leaves alone what a shell reads as itself', () => {
  for (const word of ['runs/first-1', 's3://bucket/a_b.tar', '/data/a@b,c+d%20:e']) expect(shellWord(word)).toBe(word);
});

test('a shard that fails is named to the shell, and so is its run', () => {
  const { remedy } = new DataError(new Error('/my data/a (1).tar: is damaged'), { shards: ['/my data/a (1).tar'], run: "/it's runs" });
  expect(remedy).toContain(`detco verify --shards '/my data/a (1).tar' tells`);
  expect(remedy).toContain(String.raw`continue with npx detco train --resume '/it'\''s runs', or`);
  expect(remedy).toContain("by adding --skip-shards 'a (1).tar' to that");
});
