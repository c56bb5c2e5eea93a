import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { extract } from 'tar-stream';
import { ShardExistsError, ShardWriter, shardPattern } from '#dist/pipeline/shard/write.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-write-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const sample = (key: string, size = 700) => [
  { name: `${key}.jpg`, data: new Uint8Array(size).fill(key.charCodeAt(0)) },
  { name: `${key}.cls`, data: Buffer.from('7') },
];

/** Every member of a shard: name, header fields, bytes. */
async function members(path: string) {
  const found: {
    name: string;
    mode: number | undefined;
    uid: number | undefined;
    gid: number | undefined;
    mtime: number | undefined;
    data: Buffer;
  }[] = [];
  for await (const entry of createReadStream(path).pipe(extract())) {
    const { name, mode, uid, gid, mtime } = entry.header;
    found.push({ name, mode, uid, gid, mtime: mtime?.getTime(), data: await buffer(entry) });
  }
  return found;
}

describe('ShardWriter', () => {
  test('rolls over after perShard samples and keeps the members in order', async () => {
    const writer = await ShardWriter.open({ dir, prefix: 'train', perShard: 2, digits: 3 });
    for (const key of ['a', 'b', 'c', 'd', 'e']) await writer.add(sample(key));
    const shards = await writer.close();
    expect(shards.map(({ path, samples }) => [path, samples])).toEqual([
      [join(dir, 'train-000.tar'), 2],
      [join(dir, 'train-001.tar'), 2],
      [join(dir, 'train-002.tar'), 1],
    ]);
    expect((await readdir(dir)).toSorted()).toEqual(['train-000.tar', 'train-001.tar', 'train-002.tar']);
    const names = await Promise.all(shards.map(async ({ path }) => (await members(path)).map(({ name }) => name)));
    expect(names).toEqual([
      ['a.jpg', 'a.cls', 'b.jpg', 'b.cls'],
      ['c.jpg', 'c.cls', 'd.jpg', 'd.cls'],
      ['e.jpg', 'e.cls'],
    ]);
    for (const { path, bytes } of shards) expect((await readFile(path)).length).toBe(bytes);
  });

  test('headers hold nothing of the machine or the moment', async () => {
    const writer = await ShardWriter.open({ dir, prefix: 'x', perShard: 10 });
    await writer.add(sample('a', 513));
    await writer.close();
    const [jpg, cls] = await members(join(dir, 'x-000000.tar'));
    expect(jpg).toMatchObject({ mode: 0o644, uid: 0, gid: 0, mtime: 0 });
    expect(jpg?.data.equals(Buffer.alloc(513, 'a'))).toBe(true);
    expect(cls?.data.toString()).toBe('7');
  });

  test('names of more than 100 bytes survive, and so does a member without bytes', async () => {
    const name = `${'folder/'.repeat(30)}${'long'.repeat(40)}.jpg`;
    const writer = await ShardWriter.open({ dir, prefix: 'x', perShard: 10 });
    await writer.add([
      { name, data: Buffer.from('pixels') },
      { name: 'empty.jpg', data: new Uint8Array(0) },
    ]);
    const [shard] = await writer.close();
    expect((await members(shard?.path ?? '')).map((m) => [m.name, m.data.toString()])).toEqual([
      [name, 'pixels'],
      ['empty.jpg', ''],
    ]);
  });

  test('writes a view of a larger buffer as the view', async () => {
    const pool = Buffer.from('....pixels....');
    const writer = await ShardWriter.open({ dir, prefix: 'x', perShard: 10 });
    await writer.add([{ name: 'a.jpg', data: new Uint8Array(pool.buffer, pool.byteOffset + 4, 6) }]);
    const [shard] = await writer.close();
    expect((await members(shard?.path ?? ''))[0]?.data.toString()).toBe('pixels');
  });

  test('a shard has its name only when it is whole; disposing removes the unfinished one', async () => {
    {
      await using writer = await ShardWriter.open({ dir, prefix: 'train', perShard: 2, digits: 3 });
      for (const key of ['a', 'b', 'c']) await writer.add(sample(key));
      expect((await readdir(dir)).toSorted()).toEqual(['train-000.tar', 'train-001.tar.tmp']);
    }
    expect(await readdir(dir)).toEqual(['train-000.tar']);
  });

  test('refuses a folder that holds a shard of the prefix, and names it', async () => {
    await writeFile(join(dir, 'train-017.tar'), '');
    await writeFile(join(dir, 'train-a-001.tar'), '');
    const opened = ShardWriter.open({ dir, prefix: 'train', perShard: 2 });
    await expect(opened).rejects.toThrow(ShardExistsError);
    await expect(opened).rejects.toThrow(`"${join(dir, 'train-017.tar')}" exists already`);
    await expect(ShardWriter.open({ dir, prefix: 'val', perShard: 2 })).resolves.toBeInstanceOf(ShardWriter);
  });

  test('fails with the cause when the folder has gone', async () => {
    await using writer = await ShardWriter.open({ dir, prefix: 'train', perShard: 2 });
    await writer.add(sample('a'));
    await rm(dir, { recursive: true });
    await expect(writer.add(sample('b'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each([0, 1.5, -1, Number.NaN])('refuses %p samples a shard', async (perShard) => {
    await expect(ShardWriter.open({ dir, prefix: 'x', perShard })).rejects.toThrow(`perShard ${perShard}: expected a whole number`);
  });
});

test('shardPattern is what a shard list expands', () => {
  expect(shardPattern('train', 4, 3)).toBe('train-{000..003}.tar');
  expect(shardPattern('val', 1, 6)).toBe('val-000000.tar');
});
