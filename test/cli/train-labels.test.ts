/** `detco train` on shards whose labels are names: it needs none, and reads them where it is told what they mean. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sumOfFile } from '#dist/common/file-sum.js';
import { detco } from './detco.js';

jest.setTimeout(120_000);

const CONFIG = `
preset: tiny
engine: wasm
batch: 2
epochs: 1
steps: 1
method: { width: 4, dim: 8, queueSize: 4, bnGroups: 1 }
recipe: { globalSize: 16, patchSize: 8 }
knn: { bank: 6, queries: 6 }
`;
const SHARD = 'fixtures/archives/text-labels.tar';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-labels-'));
  await writeFile(join(dir, 'run.yaml'), CONFIG);
});
afterAll(() => rm(dir, { recursive: true }));

const train = (run: string, ...options: readonly string[]) =>
  detco(['train', '--config', join(dir, 'run.yaml'), '--shards', SHARD, '--out', join(dir, run), ...options]);

test('labels of words cost one warning, and no image', async () => {
  const { code, stderr } = await train('words');
  expect({ code, warnings: stderr.match(/warning: .*unusable label.*/g) }).toEqual({
    code: 0,
    warnings: [
      expect.stringMatching(/text-labels\.tar: 6 unusable labels: the first, "\.\/000\.cls" at byte 512, holds the label "n01440760"/),
    ],
  });
  const record = (await readFile(join(dir, 'words', 'bad-samples.jsonl'), 'utf8')).trimEnd().split('\n');
  expect(record.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({ shard: resolve(SHARD), kind: 'unusable label', count: 6 }),
  ]);
});

test('labels of words are classes where a file names them', async () => {
  const names = join(dir, 'classes.txt');
  await writeFile(names, Array.from({ length: 6 }, (_, i) => `n0144076${i}\n`).join(''));
  const { code, stderr } = await train('named', '--classes-file', names, '--val-shards', SHARD);
  expect(code).toBe(0);
  expect(stderr).not.toContain('unusable label');
  expect(await readFile(join(dir, 'named', 'metrics.jsonl'), 'utf8')).toContain('knnTop1');
});

test('a run goes on with the list of names that it began with, wherever that lies, and with no other', async () => {
  const names = Array.from({ length: 6 }, (_, i) => `n0144076${i}`);
  const file = join(dir, 'kept.txt');
  const changed = async (text: string): Promise<void> => writeFile(file, text);
  await changed(names.map((name) => `${name}\n`).join(''));
  expect(await train('kept', '--classes-file', file)).toMatchObject({ code: 0 });
  const run = join(dir, 'kept');
  const resume = (...more: readonly string[]) => detco(['train', '--resume', run, '--steps', '2', ...more]);

  const others = [names.toReversed().join('\n'), names.slice(1).join('\n')];
  for (const [count, other] of [
    [6, others[0]],
    [5, others[1]],
  ] as const) {
    await changed(other ?? '');
    const { code, stderr } = await resume();
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        new RegExp(
          `classesFile \\(--classes-file\\) ${file} is not the list that the run began with.* has ${count} classes .*, and had 6 .*; bring it back`,
        ),
      ),
    });
  }
  const moved = join(dir, 'moved.txt');
  await writeFile(moved, names.join('\r\n'));
  expect(await resume('--classes-file', moved)).toMatchObject({ code: 0 });
});

test('a run whose config.json does not say which names it began with goes on', async () => {
  const file = join(dir, 'unknown.txt');
  await writeFile(file, 'n01440760\nn01440761\n');
  expect(await train('unknown', '--classes-file', file)).toMatchObject({ code: 0 });
  const path = join(dir, 'unknown', 'config.json');
  const { classNames, ...config } = JSON.parse(await readFile(path, 'utf8')) as { readonly classNames: object };
  const { sha256 } = await sumOfFile(file);
  expect(classNames).toEqual({ count: 2, sha256 });
  await writeFile(path, JSON.stringify(config));
  await writeFile(file, 'n01440761\nn01440760\n');
  expect(await detco(['train', '--resume', join(dir, 'unknown'), '--steps', '2'])).toMatchObject({ code: 0 });
});

describe('--eval', () => {
  type Line = { readonly step: number; readonly knnTop1?: number; readonly effectiveRank?: number; readonly featureDeviation?: number };
  const evaluations = async (run: string): Promise<Line[]> => {
    const lines = (await readFile(join(dir, run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Line & { loss?: number }).filter(({ loss }) => loss === undefined);
  };

  test('rank needs neither labels nor validation shards', async () => {
    const { code, stderr } = await train('rank', '--eval', 'rank');
    expect(code).toBe(0);
    expect(stderr).toMatch(/step 0 {2}effective rank [\d.]+ \(untrained\)/);
    expect(stderr).not.toContain('nothing is evaluated');
    const found = await evaluations('rank');
    expect(found.map(({ step }) => step)).toEqual([0, 1]);
    for (const { effectiveRank = 0, featureDeviation = 0, knnTop1 } of found) {
      // Six images.
      expect(effectiveRank).toBeGreaterThan(1);
      expect(effectiveRank).toBeLessThan(6);
      expect(featureDeviation).toBeGreaterThan(0);
      expect(knnTop1).toBeUndefined();
    }
  });

  test('knn,rank gives both, and without validation shards says what is left out', async () => {
    const names = join(dir, 'six.txt');
    await writeFile(names, Array.from({ length: 6 }, (_, i) => `n0144076${i}\n`).join(''));
    const both = await train('both', '--eval', 'knn,rank', '--classes-file', names, '--val-shards', SHARD);
    expect(both.code).toBe(0);
    for (const line of await evaluations('both'))
      expect(line).toMatchObject({ knnTop1: expect.any(Number), effectiveRank: expect.any(Number) });
    const { code, stderr } = await train('half', '--eval', 'knn,rank');
    expect(code).toBe(0);
    expect(stderr).toContain('no --val-shards: kNN accuracy is not measured');
    for (const line of await evaluations('half'))
      expect(Object.keys(line)).toEqual(['step', 'epoch', 'timeMs', 'effectiveRank', 'featureDeviation']);
  });

  test('refuses what is none, with the names', async () => {
    const { code, stderr } = await train('none', '--eval', 'knn,rnak');
    expect(code).toBe(2);
    expect(stderr).toContain('evaluate (--eval) = "knn,rnak": did you mean "rank"? Expected one of knn, rank');
  });
});
