/** Whoever tries the commands of the documentation in a checkout finds no untracked files there afterwards. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const DOCUMENTS = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

test('what the commands of README.md and docs/ write is ignored by git', () => {
  const commands = DOCUMENTS.flatMap((document) => readFileSync(document, 'utf8').match(/\bdetco [a-z]+ [^`\n]*/g) ?? []);
  // Names in capitals stand for the reader's own.
  const outputs = [...commands.join('\n').matchAll(/ --(?:out|cache-dir|index|report|trace|neighbours|confusion) ([a-z][\w./-]*)/g)];
  const paths = [...new Set(outputs.map(([, path = '']) => path))];
  expect(paths).toEqual(expect.arrayContaining(['runs/first', 'views.png', 'toy', 'weights/moco-v2']));
  // `detco eval` keeps what it finds of a file of weights beside it.
  const inThem = paths.flatMap((path) => (/\.\w+$/.test(path) ? [path, `${path}.eval.json`] : [`${path}/file`]));
  const ignored = execFileSync('git', ['check-ignore', ...inThem], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
  expect(ignored).toEqual(inThem);
});
