/** The number of a sample among all: the same whoever reads it, whatever is left out. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPipeline, type PipelineOptions, recipes } from '#dist/pipeline/index.js';
import { indexShard, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { testKey, writeTestShards } from '../support/shards.js';

const COUNTS = [5, 0, 7, 4];
const NUMBERED = new Map(
  COUNTS.flatMap((count, shard) => Array.from({ length: count }, (_, index) => testKey(shard, index))).map((key, ordinal) => [
    key,
    ordinal,
  ]),
);

let folder: string;
let options: PipelineOptions;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-ordinals-'));
  const indexDir = join(folder, 'index');
  const shards = await writeTestShards(join(folder, 'train'), { counts: COUNTS });
  for (const shard of shards) await writeIndex(indexDir, await indexShard(shard));
  const recipe = recipes.evaluation({ globalSize: 16 });
  options = { shards, recipe, batchSize: 4, seed: 3, epochs: 2, lanes: 4, workers: 1, indexDir, ordinals: true };
});
afterAll(() => rm(folder, { recursive: true }));

/** Ordinals of all batches, by key. */
async function numbersOf(extra: Partial<PipelineOptions>): Promise<ReadonlyMap<string, number | undefined>> {
  await using pipeline = await createPipeline({ ...options, ...extra });
  expect(pipeline.samples).toBe(extra.ordinals === false ? undefined : NUMBERED.size);
  const numbers = new Map<string, number | undefined>();
  for await (const { samples } of pipeline) for (const { key, ordinal } of samples) numbers.set(key, ordinal);
  return numbers;
}

const sorted = (numbers: ReadonlyMap<string, number | undefined>) => [...numbers].toSorted(([a], [b]) => (a < b ? -1 : 1));

describe('ordinals', () => {
  test.each<[string, Partial<PipelineOptions>]>([
    ['whole shards', {}],
    ['equal runs of samples', { divide: 'samples' }],
    ['two workers', { workers: 2 }],
  ])('count the samples of all shards in their order: %s', async (_, extra) => {
    expect(sorted(await numbersOf(extra))).toEqual(sorted(NUMBERED));
  });

  test('are those of the whole where shards are left out', async () => {
    const numbers = await numbersOf({ skipShards: options.shards[0]?.split('/').at(-1) ?? '' });
    const left = [...NUMBERED].filter(([, ordinal]) => ordinal >= (COUNTS[0] ?? 0));
    expect(sorted(numbers)).toEqual(sorted(new Map(left)));
  });

  test('of two ranks are those of one', async () => {
    const ranks = await Promise.all([0, 1].map((rank) => numbersOf({ rank, worldSize: 2 })));
    expect(sorted(new Map(ranks.flatMap((numbers) => Array.from(numbers))))).toEqual(sorted(NUMBERED));
  });

  test('are not there unless they are asked for', async () => {
    expect(new Set((await numbersOf({ ordinals: false })).values())).toEqual(new Set([undefined]));
  });

  test('need the index of every shard', async () => {
    const { indexDir: _, ...without } = options;
    await expect(createPipeline(without)).rejects.toThrow(
      /indexDir: none, and ordinals need the index of every shard; make it with detco index/,
    );
    await expect(createPipeline({ ...options, indexDir: folder })).rejects.toThrow(
      /has no index of .* and 3 more of 4 shards; make it with detco index/,
    );
  });
});
