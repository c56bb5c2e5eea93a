/** The views of single samples: those that a run with the same options sees. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { given } from '#dist/common/options.js';
import { createPipeline, type Recipe, recipes } from '#dist/pipeline/index.js';
import { firstSamples, sampleWithKey, type SampleViewsOptions } from '#dist/pipeline/preview/sample-views.js';
import { RUN_OPTIONS } from '#dist/pipeline/run-options.js';
import { indexShard, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { resolveConfig } from '#dist/train/config.js';
import { trainingRecipe } from '#dist/train/index.js';
import { answer, type Served, startHttp } from '../../support/http.js';
import { testKey, writeTestShards } from '../../support/shards.js';

const recipe = recipes.detco({ globalSize: 32, patchSize: 8 });
const COUNTS = [7, 20, 9];
const SEED = 11;

let folder: string;
let shards: string[];
let options: SampleViewsOptions;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-sample-views-'));
  shards = await writeTestShards(join(folder, 'shards'), { counts: COUNTS, large: [testKey(1, 4)] });
  options = { shards, recipe, seed: SEED, epoch: 0 };
});
afterAll(() => rm(folder, { recursive: true }));

interface Row {
  readonly views: Readonly<Record<string, Buffer>>;
  readonly plans: unknown;
}

/** Every sample of an epoch as a pipeline gives it, by key. */
async function epochOf(epoch: number): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for await (const batch of await createPipeline({
    shards,
    recipe,
    seed: SEED,
    batchSize: 5,
    epochs: epoch + 1,
    workers: 1,
    dropLast: false,
  })) {
    if (batch.epoch < epoch) continue;
    for (const [row, { key }] of batch.samples.entries()) {
      const views = Object.entries(batch.views).map(([name, { data }]) => {
        const bytes = data.length / batch.size;
        return [name, Buffer.from(data.slice(row * bytes, (row + 1) * bytes))] as const;
      });
      const plans = Object.entries(batch.plans).map(([name, all]) => [name, all[row]]);
      rows.set(key, { views: Object.fromEntries(views), plans: Object.fromEntries(plans) });
    }
  }
  return rows;
}

describe('a sample by its key', () => {
  test.each([0, 3])('has the views that epoch %i has of it, also where it is decoded smaller', async (epoch) => {
    const rows = await epochOf(epoch);
    expect(rows.size).toBe(36);
    for (const key of [testKey(0, 0), testKey(1, 4), testKey(2, 8)]) {
      const { samples, views, plans } = await sampleWithKey({ ...options, epoch }, key);
      expect(samples).toEqual([expect.objectContaining({ key, index: Number(key.slice(3)) })]);
      expect(Object.fromEntries(Object.entries(plans).map(([name, [plan]]) => [name, plan]))).toEqual(rows.get(key)?.plans);
      for (const [name, { data, shape }] of Object.entries(views)) {
        expect(shape).toHaveLength(name.startsWith('patches') ? 5 : 4);
        expect(rows.get(key)?.views[name]?.equals(data)).toBe(true);
      }
    }
  });

  test('is found where no other image can be decoded', async () => {
    const key = testKey(0, 2);
    const bad = [0, 1, 3, 4].map((index) => testKey(0, index));
    const broken = await writeTestShards(join(folder, 'broken'), { counts: [5], bad });
    const { images } = await sampleWithKey({ ...options, shards: broken }, key);
    expect(images[0]?.subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
    await expect(sampleWithKey({ ...options, shards: broken }, testKey(0, 3))).rejects.toThrow(
      /^the sample s0-003 of .*shard-000\.tar is a bad one, which training leaves out: the image is text; expected JPEG, PNG or WebP$/,
    );
  });

  test('is read alone where there is an index', async () => {
    const files = await Promise.all(shards.map((path) => readFile(path)));
    const bodies = new Map(files.map((body, i): [string, Served] => [`/${i}.tar`, { body, etag: '"1"' }]));
    const server = await startHttp((request, response) => answer(request, response, bodies.get(request.url ?? '')));
    try {
      const remote = shards.map((_, i) => `${server.url}/${i}.tar`);
      const indexDir = join(folder, 'index');
      for (const location of remote) await writeIndex(indexDir, await indexShard(location));
      const before = server.requests.length;
      const { views } = await sampleWithKey({ ...options, shards: remote, indexDir }, testKey(2, 3));
      const asked = server.requests.slice(before);
      expect(asked.map(({ path }) => path)).toEqual(['/2.tar']);
      const [, first = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(asked[0]?.range ?? '')?.map(Number) ?? [];
      expect(last - first).toBeGreaterThan(100);
      expect(last - first).toBeLessThan((files[2]?.length ?? 0) / 4);
      const local = await sampleWithKey(options, testKey(2, 3));
      expect(Object.values(views).map(({ data }) => Buffer.from(data))).toEqual(
        Object.values(local.views).map(({ data }) => Buffer.from(data)),
      );
      // The images of a first batch, too, which come from several shards.
      const [indexed, streamed] = await Promise.all([
        firstSamples({ ...options, shards: remote, indexDir }, 6),
        firstSamples({ ...options, shards: remote }, 6),
      ]);
      expect(indexed.images).toEqual(streamed.images);
      expect(new Set(indexed.samples.map(({ shard }) => shard)).size).toBe(3);
    } finally {
      await server.close();
    }
  });

  test('that no shard has is an error with the nearest keys', async () => {
    await expect(sampleWithKey(options, 's1-0O3')).rejects.toThrow(
      'none of the 36 samples of 3 shards has the key "s1-0O3"; did you mean "s1-003" or "s1-013"? Expected the name of a member up to the first dot',
    );
    await expect(sampleWithKey(options, 'zebra')).rejects.toThrow('keys there are such as "s0-000". Expected the name of a member');
  });
});

test.each([
  ['tiny', recipes.detco({ globalSize: 48, patchSize: 24, randAugment: false })],
  ['tiny-densecl', recipes.mocoV2({ globalSize: 32 })],
  ['tiny-byol', recipes.byol({ globalSize: 48 })],
  ['tiny-swav', recipes.swav({ globalSize: 48, localSize: 24, crops: 4 })],
] as [string, Recipe][])('the first samples have the views that detco train --preset %s sees', async (preset, same) => {
  const config = resolveConfig({ shards, preset, seed: SEED, batch: 8 });
  expect(trainingRecipe(config).views).toEqual(same.views);
  const drawn = await firstSamples({ ...options, recipe: same }, 4);
  const training = await createPipeline({
    ...given(config, RUN_OPTIONS),
    shards: config.shards,
    recipe: trainingRecipe(config),
    batchSize: config.batch,
    decodedCache: 0,
    workers: 1,
  });
  for await (const batch of training) {
    expect(drawn.samples).toEqual(batch.samples.slice(0, 4));
    for (const [name, { data }] of Object.entries(batch.views))
      expect(Buffer.from(drawn.views[name]?.data ?? []).equals(data.slice(0, data.length / 2))).toBe(true);
    break;
  }
});
