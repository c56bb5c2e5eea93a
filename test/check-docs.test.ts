/** What the check of the pages finds, in a small clone of pages that are wrong. Blocks that run need no build but for `ts` and `yaml`. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

let clone: string;
beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'detco-pages-'));
  for (const folder of ['docs', 'dist', 'node_modules']) mkdirSync(join(clone, folder));
  writeFileSync(join(clone, 'dist', 'built.js'), '');
  execFileSync('git', ['init', '-q'], { cwd: clone });
});
afterEach(() => rmSync(clone, { recursive: true }));

const fence = (language: string, ...lines: readonly string[]): string => ['```' + language, ...lines, '```', ''].join('\n');

/** Writes README.md, and docs/one.md where there is one, and checks them. */
function check(front: string, one?: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  writeFileSync(join(clone, 'README.md'), front);
  if (one !== undefined) writeFileSync(join(clone, 'docs', 'one.md'), one);
  return spawnSync(process.execPath, ['scripts/check-docs.mjs', '--root', clone, ...args], { encoding: 'utf8' });
}

test('names page and line of a link, an anchor, a language and a mark that are wrong, and of a page that nobody links', () => {
  const marked = `<!-- example: skip it -->\n\n${fence('sh', 'true')}`;
  const { status, stderr } = check(`# Front\n\n[a](docs/none.md) [b](#frnt)\n\n${fence('')}\n${marked}`, '# One\n', '--no-run');
  expect(status).toBe(1);
  expect(stderr).toContain('README.md:3: the link "docs/none.md" leads to docs/none.md, which is not there');
  expect(stderr).toContain('README.md:3: the link "#frnt" leads to no heading of README.md; it has #front');
  expect(stderr).toContain('README.md:5: a block of language ""');
  expect(stderr).toContain('<!-- example: skip it --> before a block of sh: expected <!-- example: not run, REASON');
  expect(stderr).toContain('docs/one.md: README.md has no link to it');
});

test('runs blocks in their order in one folder outside the clone, and counts them with the marked ones', () => {
  const front = [
    '[one](docs/one.md)\n',
    `<!-- example: setup\nWORD=told\n-->\n\n${fence('sh', 'echo $WORD > file')}`,
    fence('console', '$ cat file', 'told', '$ echo 12 of 40 images', '7 of ... images'),
    `<!-- example: with more -->\n\n${fence('sh', 'test few != # a comment')}`,
    `<!-- example: not run, needs a moon -->\n\n${fence('sh', 'false')}`,
    fence('text', 'drawn'),
  ].join('\n');
  const { status, stdout, stderr } = check(front, '# One\n');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toContain('2 pages, 5 blocks: 3 run, 0 checked for types, 1 not run, 1 text\n  1 x needs a moon');
  expect(execFileSync('git', ['status', '--short'], { cwd: clone, encoding: 'utf8' })).not.toContain('file');
});

test('a block that fails is named with page, line, command and output; one that prints other words too', () => {
  const failed = check(`# Front\n\n${fence('sh', 'echo before', 'false')}`);
  expect(failed.status).toBe(1);
  expect(failed.stderr).toContain('README.md:4: ended with 1, expected 0:\necho before\nfalse\nprinted\n    before');
  const other = check(`# Front\n\n${fence('console', '$ echo 3 apples', '3 pears')}`);
  expect(other.status).toBe(1);
  expect(other.stderr).toContain('README.md:4: $ echo 3 apples\nprints no line like "3 pears", but\n    3 apples');
});
