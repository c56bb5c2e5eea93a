/** Several pipelines as the ranks of one world, on real shards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BadSample, createPipeline, joinStates, type PipelineOptions, type PipelineState, recipes } from '#dist/pipeline/index.js';
import { indexShard, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { type BatchDigest, digestBatches } from '../support/batches.js';
import { testKey, writeTestShards } from '../support/shards.js';

const recipe = recipes.evaluation({ globalSize: 16 });
// 96 samples in unequal shards: eight lanes of twelve, on four ranks six steps of four.
const COUNTS = [21, 0, 17, 25, 13, 9, 11];
const KEYS = COUNTS.flatMap((count, shard) => Array.from({ length: count }, (_, index) => testKey(shard, index))).toSorted();

let folder: string;
let indexDir: string;
let options: PipelineOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-ranks-'));
  indexDir = join(folder, 'index');
  const shards = await indexedShards('train', []);
  options = { shards, recipe, batchSize: 4, seed: 3, epochs: 2, lanes: 8, workers: 1, shuffle: 3, slots: 2, worldSize: 4, indexDir };
});
afterAll(() => rm(folder, { recursive: true }));

async function indexedShards(name: string, bad: readonly string[], counts = COUNTS): Promise<string[]> {
  const shards = await writeTestShards(join(folder, name), { counts, bad });
  for (const shard of shards) await writeIndex(indexDir, await indexShard(shard));
  return shards;
}

/** Runs every rank; their batches by rank. */
function runRanks(worldSize: number, extra: Partial<PipelineOptions>, most?: number): Promise<BatchDigest[][]> {
  const ranks = Array.from({ length: worldSize }, (_, rank) => ({ ...options, worldSize, rank, ...extra }));
  return Promise.all(ranks.map((rank) => digestBatches(rank, most)));
}

/** Keys of an epoch over all ranks, sorted. */
const keysOf = (ranks: readonly BatchDigest[][], epoch: number): string[] =>
  ranks.flatMap((batches) => batches.filter((batch) => batch.epoch === epoch).flatMap(({ keys }) => keys)).toSorted();

const joinedAfter = (ranks: readonly BatchDigest[][]): PipelineState => joinStates(ranks.flatMap((batches) => batches.at(-1)?.state ?? []));

/** Batches without their states, which know of other ranks what the run began with. */
const content = (batches: readonly BatchDigest[]): unknown[] => batches.map(({ epoch, step, keys, pixels }) => [epoch, step, keys, pixels]);

describe('ranks', () => {
  test('see every sample exactly once an epoch, in equally many batches, whatever the number of workers', async () => {
    const ranks = await runRanks(4, {});
    for (const batches of ranks) expect(batches.map(({ epoch }) => epoch)).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    expect(keysOf(ranks, 0)).toEqual(KEYS);
    expect(keysOf(ranks, 1)).toEqual(KEYS);
    expect(ranks[0]?.[0]?.keys).not.toEqual(ranks[0]?.[6]?.keys);
    expect(await digestBatches({ ...options, rank: 2, workers: 2 })).toEqual(ranks[2]);
  });

  test('take the same samples in each step as other numbers of ranks with the same global batch', async () => {
    const keys = (ranks: readonly BatchDigest[][], step: number) => ranks.flatMap((batches) => batches[step]?.keys ?? []).toSorted();
    const four = await runRanks(4, { epochs: 1 });
    for (const others of [
      await runRanks(2, { epochs: 1, batchSize: 8 }),
      await runRanks(1, { epochs: 1, batchSize: 16, divide: 'samples' }),
    ]) {
      for (let step = 0; step < 6; step++) expect(keys(others, step)).toEqual(keys(four, step));
    }
  });

  test('stopped within an epoch, go on as four to its end and then as two', async () => {
    const begun = await runRanks(4, {}, 2);
    const middle = joinedAfter(begun);
    const ended = await runRanks(4, { resume: middle, epochs: 1 });
    expect(keysOf([...begun, ...ended], 0)).toEqual(KEYS);
    const atEnd = joinedAfter(ended);
    expect(atEnd).toMatchObject({ epoch: 1, step: 6, epochStart: 6 });
    const next = await runRanks(2, { resume: atEnd, batchSize: 6 });
    for (const batches of next) expect(batches.map(({ step }) => step)).toEqual([6, 7, 8, 9, 10, 11, 12, 13]);
    expect(keysOf(next, 1)).toEqual(KEYS);
  });

  test('stopped within an epoch, go on as two at once when the global batch stays', async () => {
    const begun = await runRanks(4, {}, 3);
    const middle = joinedAfter(begun);
    const ended = await runRanks(2, { resume: middle, batchSize: 8 });
    for (const batches of ended) expect(batches.map(({ step }) => step)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(keysOf([...begun, ...ended], 0)).toEqual(KEYS);
    expect(keysOf(ended, 1)).toEqual(KEYS);
    const whole = await runRanks(2, { batchSize: 8 });
    expect(ended.map(content)).toEqual(whole.map((batches) => content(batches.slice(3))));
  });

  test.each([
    ['in the order of the shard', 0],
    ['shuffled', 3],
  ])('share a single shard, %s, and go on as another number of ranks', async (_, shuffle) => {
    const shards = await indexedShards(`one-${shuffle}`, [], [48]);
    const common = { shards, shuffle };
    const keys = Array.from({ length: 48 }, (_, index) => testKey(0, index));
    const whole = await runRanks(2, { ...common, batchSize: 8 });
    for (const epoch of [0, 1]) expect(keysOf(whole, epoch)).toEqual(keys);
    const begun = await runRanks(2, { ...common, batchSize: 8 }, 1);
    const ended = await runRanks(4, { ...common, resume: joinedAfter(begun) });
    expect(keysOf([...begun, ...ended], 0)).toEqual(keys);
    expect(keysOf(ended, 1)).toEqual(keys);
  });

  test('refuse another global batch within an epoch', async () => {
    const middle = joinedAfter(await runRanks(4, {}, 3));
    await expect(runRanks(2, { resume: middle, batchSize: 6 })).rejects.toThrow(/finish the epoch with the old sizes/);
  });

  test('with dropLast false show what is over twice and nothing never', async () => {
    // 96 samples over five lanes a rank: ten lanes of ten, of which four see their first sample again.
    const ranks = await runRanks(2, { lanes: 10, batchSize: 7, dropLast: false, epochs: 1 });
    for (const batches of ranks) expect(batches.map(({ keys }) => keys.length)).toEqual([7, 7, 7, 7, 7, 7, 7, 1]);
    const keys = keysOf(ranks, 0);
    expect([...new Set(keys)]).toEqual(KEYS);
    expect(keys).toHaveLength(100);
    // The smaller last batch ends the epoch for everybody.
    expect(joinedAfter(ranks)).toMatchObject({ epoch: 1, step: 8, epochStart: 8 });
  });
});

describe('bad samples', () => {
  const bad = [testKey(0, 0), testKey(0, 1), testKey(0, 2), testKey(3, 7), testKey(6, 10)];

  test('are made up for in their lane, so that ranks keep in step, and reported once', async () => {
    const shards = await indexedShards('bad', bad);
    const reports: BadSample[] = [];
    const common = { shards, epochs: 1, onBad: (report: BadSample) => reports.push(report) };
    const ranks = await runRanks(2, common);
    for (const batches of ranks) expect(batches).toHaveLength(12);
    expect(reports.map(({ key }) => key).toSorted()).toEqual(bad);
    const good = KEYS.filter((key) => !bad.includes(key));
    expect([...new Set(keysOf(ranks, 0))]).toEqual(good);

    // The same when it is stopped where lanes are on their second round.
    const begun = await runRanks(2, common, 11);
    const ended = await runRanks(2, { ...common, resume: joinedAfter(begun) });
    expect(ended.map(content)).toEqual(ranks.map((batches) => content(batches.slice(11))));
  });

  test('are counted against the good ones of all ranks', async () => {
    const shards = await indexedShards('one-bad', [testKey(0, 0)], [48, 48]);
    // Of the 1920 good samples that the rank has in all they are 2 %, of those of both 1 %.
    const common = { shards, shuffle: 0, worldSize: 2, rank: 0, epochs: 40, batchSize: 16 };
    expect(await digestBatches({ ...options, ...common, maxBadSamples: 0.015 })).toHaveLength(120);
    await expect(digestBatches({ ...options, ...common, maxBadSamples: 0.005 })).rejects.toThrow(
      /6 bad samples, more than maxBadSamples 0.005 allows; the last is s0-000 /,
    );
  });

  test('that leave a lane without any end the run', async () => {
    const all = Array.from({ length: 12 }, (_, index) => testKey(1, index));
    const shards = await indexedShards('hopeless', all, [12, 12]);
    const run = digestBatches({
      ...options,
      shards,
      shuffle: 0,
      worldSize: 1,
      divide: 'samples',
      lanes: 2,
      batchSize: 2,
      maxBadSamples: 20,
    });
    await expect(run).rejects.toThrow(/lane 1 has no usable sample in epoch 0: none of its 12 could be decoded/);
  });
});

describe('what ranks refuse', () => {
  test('shards without an index, naming one and the command that makes it', async () => {
    const shards = await writeTestShards(join(folder, 'unknown'), { counts: [20, 20, 20, 20] });
    const first = shards[0] ?? '';
    await writeIndex(indexDir, await indexShard(first));
    await expect(createPipeline({ ...options, shards })).rejects.toThrow(
      /has no index of .*shard-001\.tar and 2 more of 4 shards; make it with detco index --shards \.\.\. --out /,
    );
  });

  test.each<[string, Partial<PipelineOptions>, RegExp]>([
    ['a rank beyond the world', { rank: 4 }, /rank: 4 of worldSize 4; ranks count from 0 to 3/],
    ['lanes that cannot be shared', { lanes: 10 }, /10 lanes cannot be shared equally by worldSize 4; use 8 or 12/],
    ['fewer lanes than ranks', { lanes: 3 }, /3 lanes cannot be shared equally by worldSize 4; use 4/],
    ['whole shards', { divide: 'shards' }, /'shards' with worldSize 4 .* use 'samples'/],
    ['more workers than lanes of the rank', { workers: 3 }, /3 workers for 2 lanes of this rank \(8 over 4 ranks\)/],
    ['a batch that the data cannot fill', { batchSize: 25 }, /batchSize: 25 on worldSize 4 are 100 samples a step, and the shards have 96/],
  ])('%s', async (_, extra, message) => {
    const pipeline = createPipeline({ ...options, ...extra });
    await expect(pipeline).rejects.toThrow(RangeError);
    await expect(pipeline).rejects.toThrow(message);
  });

  test('no index folder', async () => {
    const { indexDir: _, ...without } = options;
    await expect(createPipeline(without)).rejects.toThrow(/indexDir: none, and worldSize 4 .* detco index --shards/);
  });
});
