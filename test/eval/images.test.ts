import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EvaluationImages, type ImageBlock } from '#dist/eval/images.js';
import { oneClass } from '#dist/eval/labels.js';
import { exchanging } from '../support/exchange.js';
import { writeTestShards } from '../support/shards.js';

const SIZE = 16;
let folder: string;
let shards: string[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'detco-images-'));
  shards = await writeTestShards(folder, { counts: [11, 9] });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const images = (limit: number): EvaluationImages =>
  new EvaluationImages({ shards, label: oneClass, globalSize: SIZE, limit, batch: 6, workers: 1 });

async function all(from: EvaluationImages): Promise<ImageBlock[]> {
  const blocks: ImageBlock[] = [];
  for await (const block of from.blocks()) blocks.push(block);
  return blocks;
}

test('gives the same images each time, and reads the shards for the first alone', async () => {
  const from = images(100);
  const first = await all(from);
  expect(first.map(({ shape }) => shape)).toEqual([6, 6, 6, 2].map((rows) => [rows, SIZE, SIZE, 3]));
  expect(first.map(({ pixels }) => pixels.length)).toEqual([6, 6, 6, 2].map((rows) => rows * SIZE * SIZE * 3));
  // Pictures, and not the same one.
  expect(new Set(first.map(({ pixels }) => pixels.subarray(0, SIZE * SIZE * 3).join())).size).toBe(4);
  rmSync(folder, { recursive: true });
  expect(await all(from)).toEqual(first);
  await expect(all(images(100))).rejects.toThrow(folder);
});

test('takes no more than its limit', async () => {
  const all20 = await all(images(100));
  const some = await all(images(8));
  expect(some.map(({ labels }) => labels.length)).toEqual([6, 2]);
  expect(some[1]?.pixels).toEqual(all20[1]?.pixels.subarray(0, 2 * SIZE * SIZE * 3));
});

test('tells how many there will be, by what the shards weigh', async () => {
  const from = images(100);
  expect(from.expected).toBeUndefined();
  await all(from);
  expect(from.expected).toBeGreaterThan(15);
  expect(from.expected).toBeLessThan(25);
  expect(from.estimated).toBe(true);
  const some = images(8);
  await all(some);
  expect(some.expected).toBe(8);
  expect(some.estimated).toBe(false);
});

test('what was left before its end is read anew', async () => {
  const from = images(100);
  for await (const block of from.blocks()) {
    expect(block.labels).toHaveLength(6);
    break;
  }
  expect((await all(from)).flatMap(({ labels }) => labels)).toHaveLength(20);
});

describe('several processes', () => {
  // By pictures: those of a label that is absent count for nothing.
  const label = (key: string): number | undefined => (key.endsWith('3') ? undefined : Number(key.slice(-1)));
  const picturesOf = (blocks: readonly ImageBlock[]): string[] =>
    blocks.flatMap(({ pixels, labels }) =>
      labels.map(
        (one, row) =>
          `${one} ${createHash('sha256')
            .update(pixels.subarray(row * 3 * SIZE ** 2, (row + 1) * 3 * SIZE ** 2))
            .digest('hex')}`,
      ),
    );

  test.each([
    ['shards of other lengths', [60, 9, 31, 2], 64],
    ['more shards than lanes', [9, 4, 0, 1, 7, 2, 1, 12, 3, 3, 8, 0, 2, 5, 2, 1, 4], 50],
    ['a single shard', [70], 40],
    ['a single image', [1], 1],
  ])('take the images of one, each other ones: %s', async (what, counts, limit) => {
    const uneven = await writeTestShards(join(folder, what), { counts, label });
    const options = { shards: uneven, label: oneClass, globalSize: SIZE, limit, batch: 6, workers: 1 };
    const alone = picturesOf(await all(new EvaluationImages(options)));
    expect(alone).toHaveLength(limit);
    const ranks = exchanging(2).map((share) => new EvaluationImages({ ...options, share }));
    const first = await Promise.all(ranks.map(all));
    expect(first.flatMap(picturesOf).toSorted()).toEqual(alone.toSorted());
  });

  test('read again what is too much to keep, without a word to those that kept theirs', async () => {
    const uneven = await writeTestShards(join(folder, 'again'), { counts: [240, 1] });
    // 223 are kept at most.
    const options = { shards: uneven, label: oneClass, globalSize: 896, limit: 225, batch: 16, workers: 1 };
    const ranks = exchanging(2).map((share) => new EvaluationImages({ ...options, share }));
    const count = async (one: EvaluationImages): Promise<number> => {
      let images = 0;
      for await (const { labels } of one.blocks()) images += labels.length;
      return images;
    };
    expect(await Promise.all(ranks.map(count))).toEqual([224, 1]);
    // One after the other: nobody is there to answer.
    for (const [rank, images] of [224, 1].entries()) expect(await count(ranks[rank] as EvaluationImages)).toBe(images);
  });
});
