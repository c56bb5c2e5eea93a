import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPipeline, recipes } from '#dist/pipeline/index.js';
import { indexShard, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { closeSources } from '#dist/pipeline/source/index.js';
import { estimateImages } from '#dist/pipeline/extent.js';
import { type ConfigInput, resolveConfig } from '#dist/train/index.js';
import { Outlook, type OutlookOptions } from '#dist/train/outlook.js';
import { answer, startHttp } from '../support/http.js';
import { writeTestShards } from '../support/shards.js';

const WASM = { name: 'wasm', device: 'cpu' } as const;

/** An outlook, and what it says. */
function outlook(
  given: Partial<ConfigInput>,
  rest: Partial<OutlookOptions>,
): { readonly told: Outlook; readonly infos: string[]; readonly warnings: string[] } {
  const [infos, warnings]: [string[], string[]] = [[], []];
  const hooks = { onInfo: (text: string) => void infos.push(text), onWarning: (text: string) => void warnings.push(text) };
  const config = resolveConfig({ shards: ['none.tar'], ...given });
  return { told: new Outlook({ config, engine: WASM, images: undefined, hooks, ...rest }), infos, warnings };
}

describe('how long a run takes', () => {
  test('is told after one update that is long, with the way to a faster engine', async () => {
    const { told, infos, warnings } = outlook({ preset: 'detco-r50' }, { images: 1_281_167 });
    await told.updated({ step: 1, ms: 1_300_000, total: told.estimatedUpdates(), estimated: true });
    expect(infos).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /^about 41 years to go, at 0\.20 images\/s \(update 1 of about 1000800\)\. .*(npx detco engine build torch|--engine torch)/,
    );
  });

  test('is told by updates that prepare nothing, and once', async () => {
    const { told, infos, warnings } = outlook({ preset: 'tiny', steps: 1000 }, {});
    const total = told.estimatedUpdates();
    // Kernels are made in the first, and the third is recorded.
    const preparing = [9_000, 900, 2_500];
    for (let step = 1; step <= 30; step++) await told.updated({ step, ms: preparing[step - 1] ?? 500, total, estimated: false });
    expect(infos).toEqual(['about 8 minutes to go, at 64 images/s (update 4 of 1000)']);
    expect(warnings).toEqual([]);
  });

  test('is told by the recent ones of many', async () => {
    const { told, infos } = outlook({ preset: 'tiny', steps: 10_000 }, {});
    for (let step = 1; step <= 200; step++) await told.updated({ step, ms: step < 30 ? 200 : 50, total: 10_000, estimated: false });
    expect(infos).toEqual(['about 8 minutes to go, at 640 images/s (update 113 of 10000)']);
  });

  test('waits for the end of an epoch where nobody knows its length', async () => {
    const { told, infos } = outlook({ preset: 'tiny' }, {});
    expect(told.estimatedUpdates()).toBeUndefined();
    await told.updated({ step: 1, ms: 40_000, total: undefined, estimated: false });
    expect(infos).toEqual([]);
    await told.updated({ step: 2, ms: 40_000, total: 10, estimated: false });
    expect(infos).toEqual(['about 5 minutes to go, at 0.80 images/s (update 2 of 10)']);
  });

  test('is not told of a run that is all but over', async () => {
    const { told, infos } = outlook({ preset: 'tiny', steps: 5 }, {});
    for (let step = 1; step <= 5; step++) await told.updated({ step, ms: 5_000, total: 5, estimated: false });
    expect(infos).toEqual([]);
  });

  test('on a CPU engine that is the best there is, names GPUs and smaller runs', async () => {
    const { told, warnings } = outlook({ preset: 'detco-r50' }, { images: 1_281_167, engine: { name: 'torch', device: 'cpu' } });
    for (const step of [1, 2]) await told.updated({ step, ms: 30_000, total: told.estimatedUpdates(), estimated: true });
    expect(warnings[0]).toMatch(/^about 347 days to go, .*A CUDA GPU is many times faster \(--device cuda, .*fewer --epochs/);
  });
});

describe('queues that are longer than the data', () => {
  test('are told at the start when they are far longer, and not again', () => {
    const { told, warnings } = outlook({ preset: 'detco-r50' }, { images: 2000 });
    told.begin();
    told.counted(1792);
    expect(warnings).toEqual([
      'queueSize 65536 is more than the about 2000 images of an epoch: images are held against older keys of their own; use at most --queue-size 1792; a fifth of that or less is better',
    ]);
  });

  test('are told after the first epoch when an estimate does not suffice', () => {
    const { told, warnings } = outlook({ preset: 'detco-r50' }, { images: 60_000 });
    told.begin();
    expect(warnings).toEqual([]);
    told.counted(59_904);
    expect(warnings[0]).toContain('queueSize 65536 is more than the 59904 images of an epoch');
  });
});

describe('a warm-up that is longer than the run', () => {
  const height = 'the learning rate does not come to its height; use a shorter warm-up, or more --epochs';

  test('is told at the start, in epochs as in updates', () => {
    const byEpochs = outlook({ preset: 'simclr-r50', epochs: 5 }, {});
    byEpochs.told.begin();
    expect(byEpochs.warnings).toEqual([`warmupEpochs 10 is more than the epochs of the run, 5: ${height}`]);
    const bySteps = outlook({ preset: 'tiny-simclr', epochs: 3 }, { images: 400 });
    bySteps.told.begin();
    expect(bySteps.warnings).toEqual([`warmupSteps 20 is more than the updates of the run, about 18: ${height}`]);
  });

  test('is none where only --steps end the run before it, or where it is as long', () => {
    const { told, warnings } = outlook({ preset: 'simclr-r50', epochs: 10, steps: 3, warmupSteps: 40 }, { images: 1024 });
    told.begin();
    expect(warnings).toEqual([]);
  });
});

describe('the number of images', () => {
  let folder: string;
  let shards: string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-outlook-'));
    shards = await writeTestShards(join(folder, 'shards'), { counts: [300, 300, 5] });
  });

  afterAll(() => rm(folder, { recursive: true }));

  /** What a run estimates after its first batch. */
  const estimate = async (indexDir: string, specs: readonly string[] = shards, skipShards: readonly string[] = []) => {
    const recipe = recipes.mocoV2({ globalSize: 16 });
    await using pipeline = await createPipeline({ shards: specs, skipShards, recipe, batchSize: 4, workers: 1, lanes: 2 });
    for await (const _batch of pipeline) return estimateImages(pipeline, indexDir, {}, skipShards);
    return undefined;
  };

  test('is estimated by the sizes of shards', async () => {
    expect(Math.abs(((await estimate(join(folder, 'none'))) ?? 0) - 605)).toBeLessThan(30);
  });

  test('leaves out the shards that are skipped', async () => {
    const skipped = shards.slice(0, 2).map((shard) => basename(shard));
    expect(await estimate(join(folder, 'none'), shards, skipped)).toBe(5);
  });

  test('is not known when the shard that is weighed is damaged, which ends no run before its turn', async () => {
    const damaged = join(folder, 'damaged.tar');
    // Its first sample can be read, and gives the batch.
    const [sound = ''] = shards;
    await writeFile(damaged, (await readFile(sound)).fill(0x55, 100_000, 120_000));
    expect(await estimate(join(folder, 'none'), [damaged])).toBeUndefined();
  });

  test('is estimated by the sizes of remote shards, as a server tells them', async () => {
    const bodies = new Map<string, Buffer>(
      await Promise.all(shards.map(async (shard) => [`/${basename(shard)}`, await readFile(shard)] as const)),
    );
    const server = await startHttp((request, response) => {
      const body = bodies.get(request.url ?? '');
      answer(request, response, body && { body, etag: '"1"' });
    });
    try {
      const images = await estimate(
        join(folder, 'none'),
        [...bodies.keys()].map((path) => server.url + path),
      );
      // What lies beside an image is only guessed, and these images are small.
      expect(images).toBeGreaterThan(605 / 2);
      expect(images).toBeLessThan(605 * 2);
    } finally {
      await closeSources();
      await server.close();
    }
  });

  test('is read from indexes', async () => {
    const dir = join(folder, 'index');
    for (const shard of shards) await writeIndex(dir, await indexShard(shard));
    expect(await estimate(dir)).toBe(605);
  });
});
