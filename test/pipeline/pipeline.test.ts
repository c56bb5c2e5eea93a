import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type BadSample,
  createPipeline,
  type MultiCropView,
  type PipelineOptions,
  type PipelineState,
  recipes,
} from '#dist/pipeline/index.js';
import { digestBatches } from '../support/batches.js';
import { until } from '../support/bytes.js';
import { testKey, writeTestShards } from '../support/shards.js';

const recipe = recipes.detco({ globalSize: 24, patchSize: 8 });
const BAD = [testKey(0, 3), testKey(2, 0)];
// 30 samples, two of them bad.
const COUNTS = [9, 1, 7, 13];

let folder: string;
let shards: string[];
let options: PipelineOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-pipeline-'));
  shards = await writeTestShards(join(folder, 'train'), { counts: COUNTS, bad: BAD });
  options = { shards, recipe, batchSize: 5, seed: 7, epochs: 3, lanes: 3, workers: 2, shuffle: 4 };
});

afterAll(() => rm(folder, { recursive: true }));

const goodKeys = COUNTS.flatMap((count, shard) => Array.from({ length: count }, (_, index) => testKey(shard, index))).filter(
  (key) => !BAD.includes(key),
);

describe('a pipeline', () => {
  test('gives whole batches with every view, and steps that count over epochs', async () => {
    const batches = await digestBatches(options);
    // 28 good samples make five whole batches an epoch.
    expect(batches.map(({ epoch, step }) => [epoch, step])).toEqual(Array.from({ length: 15 }, (_, step) => [Math.floor(step / 5), step]));
    for await (const batch of await createPipeline({ ...options, epochs: 1 })) {
      expect(Object.entries(batch.views).map(([name, { shape }]) => [name, shape])).toEqual([
        ['globalQ', [5, 24, 24, 3]],
        ['globalK', [5, 24, 24, 3]],
        ['patchesQ', [5, 9, 8, 8, 3]],
        ['patchesK', [5, 9, 8, 8, 3]],
      ]);
      for (const { key, shard, label } of batch.samples) {
        const [, number, index] = /^s(\d+)-(\d+)$/.exec(key) ?? [];
        expect(shard).toBe(shards[Number(number)]);
        expect(label).toBe(Number(index) % 5);
      }
    }
  });

  test('gives several crops of one size as one view', async () => {
    const { globalQ } = recipes.mocoV2({ globalSize: 24 }).views;
    const crop = { op: 'randomResizedCrop', scale: [0.05, 0.14], ratio: [3 / 4, 4 / 3] } as const;
    const crops: MultiCropView = { ...globalQ, kind: 'multicrop', crops: 6, size: 12, crop };
    const multicrop = { ...options, recipe: { name: 'crops', views: { globalQ, crops } }, epochs: 1 };
    for await (const batch of await createPipeline({ ...multicrop, augment: 'worker' })) {
      expect(batch.views['crops']?.shape).toEqual([5, 6, 12, 12, 3]);
      expect(batch.views['crops']?.data).toHaveLength(5 * 6 * 12 * 12 * 3);
    }
    for await (const batch of await createPipeline({ ...multicrop, augment: 'device' })) {
      expect(batch.views['crops']?.shape).toEqual([5, 6, 12, 12, 3]);
      expect(batch.views['crops']?.pending).toHaveLength(30);
      expect(batch.views['globalQ']?.pending).toHaveLength(5);
    }
  });

  test('gives a picture in its quarter turns as one view, the same with any number of workers and after a resume', async () => {
    const turned = { ...options, recipe: recipes.rotation({ globalSize: 12 }), epochs: 2 };
    const whole = await digestBatches(turned);
    expect(await digestBatches({ ...turned, workers: 3 })).toEqual(whole);
    const resume = whole[6]?.state;
    if (!resume) throw new Error('no batch 6');
    expect(await digestBatches({ ...turned, resume })).toEqual(whole.slice(7));
    for await (const { views, plans } of await createPipeline({ ...turned, augment: 'worker' })) {
      expect(views.rotations.shape).toEqual([5, 4, 12, 12, 3]);
      expect(views.rotations.data).toHaveLength(5 * 4 * 12 * 12 * 3);
      expect(plans.rotations).toHaveLength(5);
    }
    for await (const { views } of await createPipeline({ ...turned, augment: 'device' })) {
      expect(views.rotations.shape).toEqual([5, 12, 12, 3]);
      expect(views.rotations.pending).toEqual(Array.from({ length: 5 }, () => ({ steps: [], turns: 4 })));
    }
  });

  test('gives every good sample exactly once an epoch when the last batch may be smaller', async () => {
    const batches = await digestBatches({ ...options, dropLast: false, epochs: 2 });
    for (const epoch of [0, 1]) {
      const keys = batches.filter((batch) => batch.epoch === epoch).flatMap((batch) => batch.keys);
      expect(keys.toSorted()).toEqual(goodKeys.toSorted());
    }
    expect(batches.map(({ keys }) => keys.length)).toEqual([5, 5, 5, 5, 5, 3, 5, 5, 5, 5, 5, 3]);
    expect(batches[0]?.keys).not.toEqual(batches[6]?.keys);
  });

  test('reads in the order of the shards without shuffling and with one lane', async () => {
    const batches = await digestBatches({ ...options, shuffle: false, lanes: 1, workers: 1, epochs: 1, dropLast: false });
    expect(batches.flatMap(({ keys }) => keys)).toEqual(goodKeys);
  });

  test.each([1, 2, 3])('gives the same batches, byte for byte, with %i workers', async (workers) => {
    const expected = await digestBatches({ ...options, workers: 3 });
    expect(await digestBatches({ ...options, workers })).toEqual(expected);
  });

  test('another seed gives another order and other pixels', async () => {
    const [one] = await digestBatches(options, 1);
    const [other] = await digestBatches({ ...options, seed: 8 }, 1);
    expect(other?.keys).not.toEqual(one?.keys);
    expect(other?.pixels).not.toBe(one?.pixels);
  });

  test('continues after any batch from its state, also across epochs', async () => {
    const whole = await digestBatches(options);
    for (const step of [0, 3, 4, 7, 13]) {
      const resume = whole[step]?.state;
      if (!resume) throw new Error(`no batch ${step}`);
      expect(await digestBatches({ ...options, resume })).toEqual(whole.slice(step + 1));
    }
  });

  test('a resume after the last batch gives none', async () => {
    const resume = (await digestBatches(options)).at(-1)?.state;
    if (!resume) throw new Error('no batch');
    expect(await digestBatches({ ...options, resume })).toEqual([]);
  });

  test('reports bad samples with shard, offset and reason, once each an epoch', async () => {
    const reports: BadSample[] = [];
    await digestBatches({ ...options, epochs: 1, onBad: (bad) => reports.push(bad) });
    expect(reports.map(({ key }) => key).toSorted()).toEqual(BAD.toSorted());
    expect(reports.find(({ key }) => key === BAD[1])).toMatchObject({
      shard: shards[2],
      offset: 0,
      epoch: 0,
      reason: 'the image is text; expected JPEG, PNG or WebP',
    });
  });

  test('a slot that is retained keeps its bytes while later batches come', async () => {
    const held: { data: Uint8Array; copy: Uint8Array; release: () => void }[] = [];
    for await (const batch of await createPipeline({ ...options, slots: 4 })) {
      const [first] = held;
      if (first) expect(first.data).toEqual(first.copy);
      if (batch.step === 2) first?.release();
      if (batch.step === 0) {
        batch.retain();
        const { data } = batch.views['globalQ'] ?? { data: new Uint8Array() };
        held.push({ data, copy: data.slice(), release: () => batch.release() });
      }
      if (batch.step === 2) held.pop();
    }
  });
});

describe('what a pipeline refuses', () => {
  test('a batch larger than the data', async () => {
    await expect(digestBatches({ ...options, batchSize: 29 })).rejects.toThrow(/batchSize: 29 is more than the 28 samples of an epoch/);
  });

  test('shards without a single usable sample', async () => {
    const [empty] = await writeTestShards(join(folder, 'empty'), { counts: [0] });
    await expect(digestBatches({ ...options, shards: empty ?? '' })).rejects.toThrow(/No usable sample in 1 shard .*shard-000\.tar/);
  });

  test('a bad sample, when told to fail', async () => {
    await expect(digestBatches({ ...options, onBadSample: 'fail' })).rejects.toThrow(
      /bad sample s[02]-00[03] at byte \d+ of .*shard-00[02]\.tar: the image is text; expected JPEG, PNG or WebP/,
    );
  });

  test('more bad samples than it was told to bear', async () => {
    await expect(digestBatches({ ...options, maxBadSamples: 1 })).rejects.toThrow(
      /2 bad samples, more than maxBadSamples 1 allows; the last is s/,
    );
  });

  test('unusable options, quoting them', async () => {
    await expect(createPipeline({ ...options, batchSize: 0 })).rejects.toThrow(/batchSize: .* got 0/);
    await expect(createPipeline({ ...options, workers: 4 })).rejects.toThrow(/4 workers for 3 lanes/);
    const resume = { epoch: 0, step: 1, epochStart: 0, lanes: [{ taken: 5, good: 5 }] };
    await expect(digestBatches({ ...options, resume })).rejects.toThrow(/1 lanes and the pipeline 3/);
  });

  test.each<[object, string]>([
    [{ bacthSize: 4 }, 'Pipeline option bacthSize: no such option; did you mean "batchSize"? Expected one of shards,'],
    [{ onRetries: () => {} }, 'Pipeline option onRetries: no such option; did you mean "onRetry"? '],
    [{ zzz: 1 }, 'Pipeline option zzz: no such option; expected one of shards,'],
    [{ batchSize: NaN }, 'Pipeline option batchSize: Invalid input: expected number, received NaN, got NaN'],
    [{ batchSize: 1e9 }, 'Pipeline option batchSize: Too big: expected number to be <=1000000, got 1000000000'],
    [{ maxBadSamples: Infinity }, 'Pipeline option maxBadSamples: Invalid input: expected number, received Infinity, got Infinity'],
    [{ shards: 3 }, 'Pipeline option shards: expected a specification or a list of them, such as "train-{000..146}.tar", got 3'],
    [{ onBad: 'warn' }, 'Pipeline option onBad: expected a function, got "warn"'],
    [{ signal: new AbortController() }, 'Pipeline option signal: expected an AbortSignal, got {}'],
    [{ augment: 'devise' }, 'Pipeline option augment: did you mean "device"? Expected one of worker, device, got "devise"'],
    [{ recipe: undefined }, 'recipe is undefined: '],
  ])('%p, a RangeError that says what was expected', async (change, message) => {
    const created = createPipeline({ ...options, ...change });
    await expect(created).rejects.toThrow(RangeError);
    await expect(created).rejects.toThrow(message);
  });

  test.each<[object, RegExp]>([
    [{}, /^Pipeline option resume\.epoch: .* got undefined$/],
    [{ epoch: 0, step: 1, epochStart: 0, lanes: [{ taken: 5, good: -1 }] }, /^Pipeline option resume\.lanes\.0\.good: .* got -1$/],
  ])('a state %j that is none', async (resume, message) => {
    await expect(createPipeline({ ...options, resume: resume as PipelineState })).rejects.toThrow(message);
  });
});

describe('ending early', () => {
  test('closing ends a running iteration', async () => {
    const pipeline = await createPipeline({ ...options, epochs: 1000 });
    const steps: number[] = [];
    for await (const { step } of pipeline) {
      steps.push(step);
      if (step === 2) await pipeline.close();
    }
    expect(steps).toEqual([0, 1, 2]);
  });

  test('an abort ends the iteration with its reason, also where the next batch is ready', async () => {
    const stop = new AbortController();
    const steps: number[] = [];
    const run = async () => {
      const pipeline = await createPipeline({ ...options, signal: stop.signal });
      for await (const { step } of pipeline) {
        steps.push(step);
        if (step !== 1) continue;
        await until(() => pipeline.meters().queues.full > 1);
        stop.abort(new Error('enough'));
      }
    };
    await expect(run()).rejects.toThrow('enough');
    expect(steps).toEqual([0, 1]);
  });

  test('an error thrown in the loop reaches the caller', async () => {
    const run = async () => {
      for await (const batch of await createPipeline(options)) throw new Error(`thrown at step ${batch.step}`);
    };
    await expect(run()).rejects.toThrow('thrown at step 0');
  });
});
