/** The table of docs/shards.md, "Archives of others", against the archives it is about. */
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { counted } from '#dist/common/counted.js';
import { verifyShards } from '#dist/pipeline/shard/verify.js';
import { hasGnuTar } from '../../support/gnu-tar.js';

const CASES = 'fixtures/archives';
const lines = (await readFile('docs/shards.md', 'utf8')).split('\n');
/** By archive: the last column, what detco gives. */
const told = new Map(
  lines.flatMap((line) => {
    const [archive, ...columns] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    const name = /^`(.*\.tar)`$/.exec(archive ?? '')?.[1];
    return name === undefined || columns.length < 5 ? [] : [[name, columns.at(-1)] as const];
  }),
);
const archives = (await readdir(CASES)).filter((name) => name.endsWith('.tar'));

test('the table is about every archive', () => {
  expect([...told.keys()].toSorted()).toEqual(archives.toSorted());
});

test.each(archives)('%s holds what the table says', async (name) => {
  const { samples, labels, problems } = await verifyShards([`${CASES}/${name}`], { decode: true, workers: 1 });
  const kinds = new Map<string, number>();
  for (const { kind, offset, problem } of problems) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(problem).not.toMatch(/damaged|cut off/);
  }
  const held = `${counted(samples, 'sample')}, ${counted(labels.labelled, 'label')}`;
  const found = [...kinds].map(([kind, count]) => counted(count, kind)).join(', ');
  expect(found === '' ? held : `${held}; ${found}`).toBe(told.get(name));
});

(hasGnuTar ? test : test.skip)('GNU tar lists each to its end without a complaint: none is damaged', () => {
  for (const name of archives)
    expect(execFileSync('tar', ['-tf', `${CASES}/${name}`], { stdio: ['ignore', 'pipe', 'inherit'] })).not.toHaveLength(0);
});
