import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { extract } from 'tar-stream';
import { CLASSES } from '#dist/synth/classes.js';
import { synthesise } from '#dist/synth/synthesise.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-synth-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const options = { prefix: 'train', count: 52, perShard: 24, seed: 9, size: [48, 40], quality: 80, photo: false } as const;

async function members(path: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for await (const entry of createReadStream(path).pipe(extract())) found.set(entry.header.name, await buffer(entry));
  return found;
}

test('the same seed gives the same bytes, whatever the number of threads', async () => {
  const one = await synthesise({ ...options, dir: join(dir, 'one'), threads: 1 });
  const three = await synthesise({ ...options, dir: join(dir, 'three'), threads: 3 });
  expect(one.pattern).toBe('train-{000..002}.tar');
  expect(one.shards.map(({ samples }) => samples)).toEqual([24, 24, 4]);
  for (const [i, shard] of one.shards.entries()) {
    expect((await readFile(shard.path)).equals(await readFile(three.shards[i]?.path ?? ''))).toBe(true);
  }
});

test('a sample is KEY.jpg, KEY.cls and KEY.json, and they agree', async () => {
  const seen: number[] = [];
  const { shards, images, bytes } = await synthesise({ ...options, dir });
  for (const { path } of shards) {
    const found = await members(path);
    const names = [...found.keys()];
    for (let i = 0; i < names.length; i += 3) {
      const key = names[i]?.replace(/\.jpg$/, '') ?? '';
      expect(names.slice(i, i + 3)).toEqual([`${key}.jpg`, `${key}.cls`, `${key}.json`]);
      expect(key).toBe(String(seen.length).padStart(6, '0'));
      const label = Number(found.get(`${key}.cls`)?.toString());
      const record = JSON.parse(found.get(`${key}.json`)?.toString() ?? '');
      const image = await sharp(found.get(`${key}.jpg`)).metadata();
      expect(image).toMatchObject({ format: 'jpeg', width: 48, height: 40, channels: 3 });
      expect(record).toMatchObject({ label, class: CLASSES[label]?.name, width: 48, height: 40, boxes: [{ label }] });
      const [box] = record.boxes;
      for (const side of [box.x, box.y, box.width, box.height]) expect(Number.isInteger(side)).toBe(true);
      expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(48);
      expect(box.y + box.height).toBeLessThanOrEqual(40);
      seen.push(label);
    }
  }
  expect(images).toBe(options.count);
  expect(seen).toHaveLength(options.count);
  expect(new Set(seen.slice(0, 24)).size).toBe(24);
  expect(bytes).toBe(shards.reduce((sum, shard) => sum + shard.bytes, 0));
});

test('a sample of a small picture stays within four tar blocks beside its JPEG', async () => {
  const { shards } = await synthesise({ ...options, dir, count: 24 });
  const found = await members(shards[0]?.path ?? '');
  for (const [name, data] of found) if (!name.endsWith('.jpg')) expect(data.length).toBeLessThanOrEqual(512);
});

test('aborting leaves the whole shards and no unfinished one', async () => {
  const stop = new AbortController();
  const run = synthesise({
    ...options,
    dir,
    signal: stop.signal,
    onProgress: (done) => {
      if (done === 30) stop.abort(new Error('enough'));
    },
  });
  await expect(run).rejects.toThrow('enough');
  expect(await readdir(dir)).toEqual(['train-000.tar']);
});

test('photographs weigh about what those of ImageNet do', async () => {
  const { meanJpegBytes } = await synthesise({ prefix: 'photo', count: 24, perShard: 24, seed: 5, quality: 96, photo: true, dir });
  expect(meanJpegBytes).toBeGreaterThan(80_000);
  expect(meanJpegBytes).toBeLessThan(130_000);
});
