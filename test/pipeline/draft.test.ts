/** A pipeline that drafts: the same batches whoever makes them, other ones than without, and the verdicts of sharp. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { createPipeline, type PipelineOptions, recipes } from '#dist/pipeline/index.js';
import { digestBatches } from '../support/batches.js';
import { fixtureSamples } from '../support/images.js';
import { tarOf } from '../support/tar.js';

const IMAGES = 24;
let folder: string;
let options: PipelineOptions;

/** Samples of one kind alone have keys that begin with it. */
async function members(): Promise<{ name: string; body: Buffer }[]> {
  const kinds = ['baseline', 'half', 'progressive', 'png', 'cut', 'quarter'];
  const sides: Readonly<Record<string, [number, number]>> = { half: [97, 71], quarter: [211, 163] };
  const made = (await fixtureSamples(IMAGES)).map(async ({ image }, i) => {
    const kind = kinds[i % kinds.length] ?? '';
    const [width, height] = sides[kind] ?? [143, 101];
    const picture = sharp(image).resize(width, height, { fit: 'fill' });
    const jpeg = await picture.jpeg({ quality: 90, progressive: kind === 'progressive' }).toBuffer();
    const body = kind === 'png' ? await picture.png().toBuffer() : kind === 'cut' ? jpeg.subarray(0, jpeg.length >> 1) : jpeg;
    return { name: `${kind}-${i}.${kind === 'png' ? 'png' : 'jpg'}`, body };
  });
  return Promise.all(made);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-draft-'));
  const all = await members();
  const shards = await Promise.all(
    [0, 1, 2, 3].map(async (shard) => {
      const path = join(folder, `${shard}.tar`);
      await writeFile(path, await tarOf(all.filter((_, i) => i % 4 === shard)));
      return path;
    }),
  );
  options = {
    shards,
    recipe: recipes.mocoV2({ globalSize: 18 }),
    batchSize: 4,
    seed: 3,
    epochs: 2,
    lanes: 4,
    workers: 1,
    maxBadSamples: 20,
  };
});
afterAll(() => rm(folder, { recursive: true }));

test('makes the same batches with more workers, with hardly any memory, and with decoded images kept', async () => {
  const expected = await digestBatches({ ...options, draft: true });
  expect(expected).toHaveLength(10);
  expect(await digestBatches({ ...options, draft: true, workers: 4, decodeMemory: 1 })).toEqual(expected);
  expect(await digestBatches({ ...options, draft: true, workers: 2, decodedCache: '5MB' })).toEqual(expected);
});

/** The views of every good sample in one epoch, by key, and the keys of the bad ones. */
async function views(draft?: boolean): Promise<{ readonly good: Map<string, string>; readonly bad: string[] }> {
  const [good, bad] = [new Map<string, string>(), [] as string[]];
  const onBad = ({ key }: { readonly key: string }): void => void bad.push(key);
  const all = { ...options, epochs: 1, batchSize: 1, onBad, ...(draft !== undefined && { draft }) };
  for await (const { samples, views: made } of await createPipeline(all)) {
    const pixels = Object.values(made).map(({ data }) => Buffer.from(data).toString('base64'));
    good.set(samples[0]?.key ?? '', pixels.join());
  }
  return { good, bad: bad.toSorted() };
}

test('changes views of baseline JPEGs alone, and only when it is asked for', async () => {
  const [usual, off, on] = [await views(), await views(false), await views(true)];
  expect(off).toEqual(usual);
  expect(on.bad).toEqual(usual.bad);
  expect(on.bad).toHaveLength(4);
  expect([...on.good.keys()]).toEqual([...usual.good.keys()]);
  const changed = [...on.good].filter(([key, pixels]) => usual.good.get(key) !== pixels).map(([key]) => key.split('-')[0]);
  expect(new Set(changed)).toEqual(new Set(['baseline', 'half', 'quarter']));
});

test('is refused with a decoder that does not draft', async () => {
  const refused = createPipeline({ ...options, draft: true, decoder: 'sharp' });
  await expect(refused).rejects.toThrow(
    'Pipeline option draft: true with decoder sharp, which does not decode at 1/2 or 1/4; leave one of the two out',
  );
});
