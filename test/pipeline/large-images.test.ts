/**
 * Small files that are large images: what they take of memory is bounded by `maxPixels` and `decodeMemory`, and neither the order
 * nor the pixels of batches depend on the latter.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { createPipeline, type PipelineOptions, recipes } from '#dist/pipeline/index.js';
import { digestBatches } from '../support/batches.js';
import { writeTestShards } from '../support/shards.js';
import { tarOf } from '../support/tar.js';

const run = promisify(execFile);
const recipe = recipes.mocoV2({ globalSize: 16 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-large-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function peak(options: Omit<PipelineOptions, 'recipe'>): Promise<{ images: number; bad: string[]; peakMb: number }> {
  const { stdout } = await run(process.execPath, ['test/support/peak-memory.mjs', JSON.stringify(options)], { timeout: 100_000 });
  return JSON.parse(stdout) as { images: number; bad: string[]; peakMb: number };
}

describe('a run over images of 27 MB of pixels each', () => {
  const [SIDE, IMAGES] = [3000, 32];
  let shard: string;
  beforeAll(async () => {
    const png = await sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: '#5a781e' } })
      .png()
      .toBuffer();
    shard = join(folder, 'large.tar');
    await writeFile(shard, await tarOf(Array.from({ length: IMAGES }, (_, i) => ({ name: `${i}.png`, body: png }))));
  });

  test('takes no more memory than it may', async () => {
    // Held at once without a bound: two for each of 16 lanes, 864 MB.
    const options = { shards: shard, batchSize: 8, shuffle: false, workers: 2 };
    const { images, peakMb } = await peak({ ...options, decodeMemory: '64MB' });
    expect(images).toBe(IMAGES);
    expect(peakMb).toBeLessThan(600);
    // The bound is what does it.
    expect((await peak({ ...options, decodeMemory: '4GB' })).peakMb).toBeGreaterThan(800);
  });

  test('decodes none of those that are over the limit, and names them', async () => {
    const run = peak({ shards: shard, batchSize: 8, shuffle: false, workers: 2, maxPixels: SIDE * SIDE - 1, maxBadSamples: 10 });
    await expect(run).rejects.toThrow(`bad samples, more than maxBadSamples 10 allows; the last is`);
    await expect(run).rejects.toThrow(`the image has ${SIDE} x ${SIDE} = ${SIDE * SIDE} pixels, more than maxPixels ${SIDE * SIDE - 1}`);
  });
});

describe('a pipeline with hardly any memory for decoding', () => {
  let options: PipelineOptions;
  beforeAll(async () => {
    const shards = await writeTestShards(join(folder, 'small'), { counts: [11, 9, 14, 3, 8], bad: ['s1-003', 's2-000'] });
    options = { shards, recipe, batchSize: 4, seed: 3, epochs: 3, lanes: 4, workers: 2, maxBadSamples: 6 };
  });

  test.each([1, 2, 4])('makes the batches of one with plenty, with %d workers', async (workers) => {
    const expected = await digestBatches({ ...options, decodeMemory: '1GB' });
    expect(expected.length).toBeGreaterThan(25);
    for (const decodeMemory of [1, '20KB']) expect(await digestBatches({ ...options, workers, decodeMemory })).toEqual(expected);
    for (const more of [{ dropLast: false }, { decodedCache: '1MB' }])
      expect(await digestBatches({ ...options, ...more, workers, decodeMemory: 1 })).toEqual(await digestBatches({ ...options, ...more }));
    const resume = expected[9]?.state;
    if (resume) expect(await digestBatches({ ...options, workers, decodeMemory: 1, resume })).toEqual(expected.slice(10));
  });

  test('ends when it is left while images wait for room', async () => {
    const stop = new AbortController();
    const consume = async (): Promise<void> => {
      for await (const _batch of await createPipeline({ ...options, decodeMemory: 1, signal: stop.signal }))
        stop.abort(new Error('enough'));
    };
    await expect(consume()).rejects.toThrow('enough');
    for await (const batch of await createPipeline({ ...options, decodeMemory: 1 })) {
      expect(batch.size).toBe(4);
      break;
    }
  });

  test.each([['none'], [0], ['-1MB']])('says what is wrong with %p', async (decodeMemory) => {
    await expect(createPipeline({ ...options, decodeMemory })).rejects.toThrow(
      `Pipeline option decodeMemory: "${decodeMemory}" is no amount of bytes`,
    );
  });
});
