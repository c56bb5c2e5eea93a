/** The file of results, written by processes that come at once or were killed. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { addResult, readResults } from '#dist/eval/results-file.js';

const RESULT = { evaluation: 'knn', stages: {} };
const WRITER = 'test/support/add-results.mjs';

let folder = '';
let file = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-results-'));
  file = join(folder, 'eval.json');
});
afterEach(() => rm(folder, { recursive: true }));

test('results of processes that write at the same time are all kept', async () => {
  const [processes, each] = [4, 10];
  await Promise.all(
    Array.from({ length: processes }, (_, index) => promisify(execFile)(process.execPath, [WRITER, file, `${index}`, `${each}`])),
  );
  expect(Object.keys(await readResults(file))).toHaveLength(processes * each);
  expect(await readdir(folder)).toEqual(['eval.json']);
});

test('a process that was killed while it kept a result is not in the way of the next', async () => {
  await addResult(file, 'before', RESULT);
  const before = await readFile(file, 'utf8');
  const env = { ...process.env, DETCO_TEST_KILL_AT_RENAME: 'eval.json' };
  const killed = spawn(process.execPath, ['--import', './test/support/kill-at-rename.mjs', WRITER, file, 'killed', '1'], { env });
  expect(await once(killed, 'exit')).toEqual([null, 'SIGKILL']);
  expect(await readFile(file, 'utf8')).toBe(before);
  expect(await readdir(folder)).toContain('eval.json.lock');
  await addResult(file, 'after', RESULT);
  expect(Object.keys(await readResults(file))).toEqual(['before', 'after']);
  expect(await readdir(folder)).not.toContain('eval.json.lock');
});

test.each([
  ['{"version": 1}', 'holds "version", which is no result of an evaluation'],
  ['{"knn": {"evaluation": "knn", "stages": {}}, "lr": {"evaluation": "knn"}}', 'holds "lr", which is no result'],
  ['[]', 'holds no results by name'],
])('a file that holds %s is not added to', async (text, message) => {
  await writeFile(file, text);
  await expect(addResult(file, 'knn', RESULT)).rejects.toThrow(message);
  expect(await readFile(file, 'utf8')).toBe(text);
  expect(await readdir(folder)).toEqual(['eval.json']);
});
