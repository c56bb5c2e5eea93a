/** What shards hold besides samples is told by a run, and the choice of fields goes with an index. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPipeline, recipes, type PipelineOptions, type ShardLeftOut } from '#dist/pipeline/index.js';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { digestBatches } from '../support/batches.js';
import { fixtureSamples } from '../support/images.js';
import { tarOf } from '../support/tar.js';

const at = (name: string): string => resolve('fixtures/archives', name);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-left-out-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function run(
  options: Partial<PipelineOptions> & Pick<PipelineOptions, 'shards'>,
): Promise<{ seen: unknown[]; leftOut: ShardLeftOut[] }> {
  const leftOut: ShardLeftOut[] = [];
  const seen: unknown[] = [];
  await using pipeline = await createPipeline({
    recipe: recipes.evaluation({ globalSize: 16 }),
    batchSize: 2,
    dropLast: false,
    workers: 2,
    onLeftOut: (one) => leftOut.push(one),
    ...options,
  });
  for await (const { samples } of pipeline) seen.push(...samples.map(({ key, label }) => [key, label]));
  return { seen, leftOut };
}

test('a run tells once of each shard and each reason, with the count and the first member', async () => {
  const { seen, leftOut } = await run({ shards: [at('hardlink.tar'), at('text-labels.tar')], epochs: 2 });
  expect(seen).toHaveLength(18);
  expect(seen.filter((sample) => Array.isArray(sample) && sample[1] !== undefined)).toEqual([]);
  const brief = leftOut.map(({ shard, kind, count, first }) => [shard, kind, count, first.name, first.offset]);
  expect(brief.toSorted()).toEqual(
    [
      [at('hardlink.tar'), 'symbolic link', 1, 'b/w.jpg', 6144],
      [at('hardlink.tar'), 'hard link', 2, 'b/x.jpg', 6656],
      [at('text-labels.tar'), 'unusable label', 6, './000.cls', 512],
    ].toSorted(),
  );
});

test('a shard that was cut off between two members is told by a run, and by an index', async () => {
  const cut = join(dir, 'cut.tar');
  const whole = await readFile(at('v7.tar'));
  const samples: number[] = [];
  for await (const { start } of readShard(at('v7.tar'))) samples.push(start);
  const end = samples[4] ?? 0;
  await writeFile(cut, whole.subarray(0, end));
  const indexDir = join(dir, 'cut-index');
  await indexShards([cut], { dir: indexDir, workers: 1, batchSize: 2 });
  for (const options of [{}, { indexDir, divide: 'samples', lanes: 2 } as const]) {
    const { seen, leftOut } = await run({ shards: cut, ...options });
    expect(seen).toHaveLength(4);
    expect(leftOut.map(({ kind, count, first }) => [kind, count, first.offset])).toEqual([['archive without end', 1, end]]);
  }
});

test('a run that nobody listens to warns of each reason', async () => {
  const program = `
    import { createPipeline, recipes } from './dist/pipeline/index.js';
    const shards = ${JSON.stringify([at('unsorted.tar'), at('apple-double.tar')])};
    const pipeline = await createPipeline({ shards, recipe: recipes.evaluation({ globalSize: 16 }), batchSize: 5 });
    for await (const { samples } of pipeline) console.log(samples.length);`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  expect(stdout).toBe('5\n');
  expect(stderr.match(/Warning: /g)).toHaveLength(2);
  expect(stderr).toMatch(/apple-double\.tar: 2 AppleDouble files: the first, "mac\/\._000\.jpg" at byte \d+, /);
  expect(stderr).toMatch(/unsorted\.tar: 3 files without image: the first, "000\.cls" at byte 7680, has no image beside it/);
});

test('fields and class names are chosen by options', async () => {
  const pairs = await run({ shards: at('two-images.tar'), imageField: 'target.jpg' });
  expect(pairs.seen.toSorted()).toEqual([
    ['pair/000', 0],
    ['pair/001', 1],
  ]);
  const classNames = Array.from({ length: 6 }, (_, i) => `n0144076${i}`);
  const named = await run({ shards: at('text-labels.tar'), classNames });
  expect(named.seen.toSorted()).toEqual(classNames.map((_, i) => [`00${i}`, i]));
  expect(named.leftOut).toEqual([]);
});

test('a run that finds no sample says what is wrong with the last', async () => {
  await expect(run({ shards: at('dots.tar') })).rejects.toThrow(
    /No usable sample in 1 shard .*2 bad samples, the last is train\/\w+ at byte \d+ .*has 3 images: .*--image-field [03]\.jpg/,
  );
});

test('an index says what is left out, and is of the fields that it was made with', async () => {
  const shards = [at('two-images.tar'), at('hardlink.tar')];
  const report = await indexShards(shards, { dir, workers: 1, batchSize: 2, fields: { imageField: 'input.jpg;jpg' } });
  expect(report).toMatchObject({
    samples: 5,
    bad: 0,
    leftOut: [
      { kind: 'symbolic link', count: 1 },
      { kind: 'hard link', count: 2 },
    ],
  });
  const divided = { shards, indexDir: dir, divide: 'samples', lanes: 2 } as const;
  const { seen, leftOut } = await run({ ...divided, imageField: 'input.jpg;jpg' });
  expect(new Set(seen.map(String)).size).toBe(5);
  expect(leftOut.map(({ kind, count }) => [kind, count])).toEqual([
    ['symbolic link', 1],
    ['hard link', 2],
  ]);
  await expect(run(divided)).rejects.toThrow(/has no index of .*two-images\.tar and 1 more/);
});

test('a resume between two samples of one name gives neither a label, as the whole run', async () => {
  const [first, second, third] = (await fixtureSamples(3)).map(({ image }) => image);
  const shard = join(dir, 'twins.tar');
  const members = [
    { name: 'a.jpg', body: first ?? '' },
    { name: 'a.jpg', body: second ?? '' },
    { name: 'a.cls', body: '7' },
    { name: 'b.jpg', body: third ?? '' },
    { name: 'b.cls', body: '3' },
  ];
  await writeFile(shard, await tarOf(members));
  const options = {
    shards: shard,
    recipe: recipes.evaluation({ globalSize: 16 }),
    batchSize: 1,
    lanes: 1,
    shuffle: 0,
    indexDir: join(dir, 'twins-index'),
  };
  const batches = await digestBatches(options);
  expect(batches.map(({ keys, labels }) => [...keys, ...labels])).toEqual([
    ['a', undefined],
    ['a', undefined],
    ['b', 3],
  ]);
  const state = batches[0]?.state;
  expect(await digestBatches({ ...options, ...(state && { resume: state }) })).toEqual(batches.slice(1));
});
