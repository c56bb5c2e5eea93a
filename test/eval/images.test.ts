import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { EvaluationImages, type ImageBlock } from '#dist/eval/images.js';
import { oneClass } from '#dist/eval/labels.js';
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
