import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { synthCommand } from '#dist/cli/synth.js';
import { UsageError } from '#dist/cli/usage-error.js';

let dir: string;
const printed: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-synth-cli-'));
  printed.length = 0;
  jest.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  jest.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await rm(dir, { recursive: true, force: true });
});

const run = (...args: string[]) => synthCommand().parseAsync(args, { from: 'user' });

test('writes the shards and prints one object', async () => {
  await run('--out', dir, '--count', '10', '--per-shard', '8', '--size', '32x24', '--prefix', 'val', '--json');
  expect((await readdir(dir)).toSorted()).toEqual(['val-000.tar', 'val-001.tar']);
  expect(printed).toHaveLength(1);
  expect(JSON.parse(printed[0] ?? '')).toMatchObject({ out: dir, images: 10, pattern: 'val-{000..001}.tar' });
});

test('refuses to write over shards and leaves them as they are', async () => {
  await run('--out', dir, '--count', '2', '--size', '32x24');
  const again = run('--out', dir, '--count', '2', '--size', '32x24');
  await expect(again).rejects.toThrow(UsageError);
  await expect(again).rejects.toThrow(`"${join(dir, 'train-000.tar')}" exists already`);
});

test.each([
  [['--count', 'many'], '--count "many": expected a whole number'],
  [['--count', '0'], '--count "0": expected a whole number'],
  [['--count', '5', '--per-shard', '1.5'], '--per-shard "1.5": expected a whole number'],
  [['--count', '5', '--quality', '101'], '--quality "101": expected a whole number, 1..100'],
  [['--count', '5', '--seed', '-1'], '--seed "-1": expected a whole number'],
  [['--count', '5', '--size', '64'], '--size "64": expected WIDTHxHEIGHT'],
  [['--count', '5', '--size', '8x8'], '--size "8x8": expected WIDTHxHEIGHT'],
  [['--count', '5', '--prefix', 'a/b'], '--prefix "a/b": expected letters'],
])('%j cannot be used', async (args, message) => {
  const refused = run('--out', dir, ...args);
  await expect(refused).rejects.toThrow(UsageError);
  await expect(refused).rejects.toThrow(message);
  expect(await readdir(dir)).toEqual([]);
});
