/** docs/reliability.md promises a test for each fault: they exist under the names it gives. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

test('every row of the table of faults names a test that exists', async () => {
  const text = await readFile('docs/reliability.md', 'utf8');
  const table = text.split('\n').filter((line) => line.startsWith('| '));
  const [, , ...rows] = table;
  expect(rows.length).toBeGreaterThan(25);
  for (const row of rows) {
    const [, file = '', name = ''] = /`([\w/.-]+\.test\.ts)`: "(.+)" *\|$/.exec(row) ?? [];
    expect({ row, file }).toEqual({ row, file: expect.stringMatching(/\.ts$/) });
    expect(await readFile(join('test', file), 'utf8')).toContain(name);
  }
});
