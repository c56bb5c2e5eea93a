import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import { readShard, type ReadOptions } from '#dist/pipeline/shard/read.js';
import { countSamples, indexPath, indexShard, readIndex, type ShardIndex, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { noise } from '../../support/bytes.js';
import { mayMount, mountDisk, unmountDisk } from '../../support/small-disk.js';
import { tarOf } from '../../support/tar.js';

let dir: string;
let path: string;
let bytes: Buffer;
let index: ShardIndex;

/** A name that needs a PAX header of its own, so that a sample begins before its first file's header. */
const LONG = `${'long/'.repeat(60)}name`;
const KEYS = ['a', 'b', LONG, 'd', 'e'];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-index-'));
  path = join(dir, 'some shard.tar');
  bytes = await tarOf([
    { name: 'folder', type: 'directory' },
    { name: 'a.jpg', body: noise(700, 1) },
    { name: 'a.cls', body: '4' },
    { name: 'b.cls', body: 'four' },
    { name: 'b.png', body: noise(5, 2) },
    { name: 'no-image.txt', body: 'x' },
    { name: `${LONG}.jpg`, body: noise(3000, 3) },
    { name: 'd.webp', body: noise(512, 4) },
    { name: 'd.json', body: '{}' },
    { name: 'd.mask.png', body: noise(512, 5) },
    { name: 'e.jpg', body: '' },
  ]);
  await writeFile(path, bytes);
  index = await indexShard(path);
});
afterAll(() => rm(dir, { recursive: true }));

async function read(options?: ReadOptions): Promise<ShardSample[]> {
  const samples: ShardSample[] = [];
  for await (const sample of readShard(path, options)) samples.push(sample);
  return samples;
}

describe('indexShard', () => {
  test('tells where every sample and its image lie', async () => {
    const whole = await read();
    expect(index.bytes).toBe(bytes.byteLength);
    expect(index.samples.map(({ key }) => key)).toEqual(KEYS);
    expect(index.samples.map(({ label }) => label)).toEqual([4, undefined, undefined, undefined, undefined]);
    expect(index.samples.map(({ problem }) => problem)).toEqual([
      undefined,
      undefined,
      undefined,
      expect.stringMatching(/^has 2 images: webp, mask\.png/),
      undefined,
    ]);
    index.samples.forEach(({ offset, size, crc }, i) => {
      const image = bytes.subarray(offset, offset + size);
      expect(image.equals(whole[i]?.image ?? Buffer.alloc(1))).toBe(true);
      expect(crc).toBe(crc32(image));
    });
    const [, , long] = index.samples;
    // The PAX header, its content and the file's own header.
    expect((long?.offset ?? 0) - (long?.start ?? 0)).toBe(3 * 512);
  });

  test('reading can begin at any sample and stop before any other, and gives what reading the whole gives', async () => {
    const whole = await read();
    const starts = [...index.samples.map(({ start }) => start), index.bytes];
    for (let from = 0; from < KEYS.length; from++) {
      for (let to = from + 1; to <= KEYS.length; to++) {
        const range = { from: { start: starts[from] ?? 0, index: from }, end: starts[to] ?? 0 };
        expect(await read(range)).toEqual(whole.slice(from, to));
      }
    }
  });
});

describe('an index folder', () => {
  test('gives back what was put in, under a name that tells the shard', async () => {
    const folder = join(dir, 'kept', 'deep');
    await writeIndex(folder, index);
    expect(await readIndex(folder, path)).toEqual(index);
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^some_shard\.tar-[0-9a-f]{16}\.json$/)]);
  });

  test('keeps shards of the same name apart and passwords out', async () => {
    const folder = join(dir, 'remote');
    const locations = ['https://me:secret@host/a/x.tar', 'https://host/b/x.tar?version=2', 's3://bucket/x.tar'];
    for (const location of locations) await writeIndex(folder, { ...index, location });
    expect(await readdir(folder)).toHaveLength(3);
    expect((await readIndex(folder, 'https://other:word@host/a/x.tar'))?.location).toBe('https://host/a/x.tar');
    for (const name of await readdir(folder)) expect(await readFile(join(folder, name), 'utf8')).not.toContain('secret');
  });

  test('counts a file that is cut, foreign or of another version as absent, and writes it anew', async () => {
    const folder = join(dir, 'damaged');
    await writeIndex(folder, index);
    const file = indexPath(folder, path);
    const text = await readFile(file, 'utf8');
    for (const damage of [
      () => truncate(file, Math.floor(text.length / 2)),
      () => truncate(file, 0),
      () => writeFile(file, text.replace('"version":3', '"version":2')),
      () => writeFile(file, text.replace(/"crc":\[\d+,/, '"crc":[')),
      () => writeFile(file, text.replace('"label":[4,', '"label":[4294967300,')),
      () => writeFile(file, '{"some":"thing"}'),
    ]) {
      await damage();
      expect(await readIndex(folder, path)).toBeUndefined();
      await writeIndex(folder, index);
      expect(await readIndex(folder, path)).toEqual(index);
    }
  });

  test('does not count one that the system refuses to read as absent', async () => {
    const folder = join(dir, 'refused');
    await mkdir(indexPath(folder, path), { recursive: true });
    await expect(readIndex(folder, path)).rejects.toThrow('EISDIR');
    await expect(countSamples(folder, [path])).rejects.toThrow('EISDIR');
  });

  test('counts one that leaves out a sparse file, as one made without reading those does, as absent', async () => {
    const folder = join(dir, 'without-sparse');
    const first = { kind: 'hard link', name: 'x.jpg', offset: 0, problem: 'is one' } as const;
    const leftOut = [{ kind: 'hard link', count: 1, first }] as const;
    await writeIndex(folder, { ...index, leftOut });
    expect(await readIndex(folder, path)).toEqual({ ...index, leftOut });
    const file = indexPath(folder, path);
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll('hard link', 'sparse file'));
    expect(await readIndex(folder, path)).toBeUndefined();
  });

  test('may be written by many at once: every reading is whole, and nothing else is left', async () => {
    const folder = join(dir, 'busy');
    const versions: ShardIndex[] = [index, { ...index, bytes: 1 }, { ...index, bytes: 2 }];
    const write = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) await writeIndex(folder, versions[i % 3] ?? index);
    };
    const readings: (ShardIndex | undefined)[] = [];
    await writeIndex(folder, index);
    const writing = Promise.all([write(), write(), write()]);
    for (let i = 0; i < 50; i++) readings.push(await readIndex(folder, path));
    await writing;
    expect(readings.every((reading) => versions.some(({ bytes }) => bytes === reading?.bytes))).toBe(true);
    expect(await readdir(folder)).toHaveLength(1);
  });

  (mayMount() ? test : test.skip)('says what is full when it cannot be written, and leaves nothing', async () => {
    const disk = join(dir, 'disk');
    await mkdir(disk);
    mountDisk(disk, '8k');
    try {
      const samples = Array.from({ length: 2000 }, () => index.samples[0] as ShardIndex['samples'][0]);
      await expect(writeIndex(disk, { ...index, samples })).rejects.toThrow(
        `the disk of "${disk}" is full; free some space or choose another place`,
      );
      expect(await readdir(disk)).toEqual([]);
    } finally {
      unmountDisk(disk);
    }
  });
});
