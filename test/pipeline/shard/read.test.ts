import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import type { LeftOut } from '#dist/pipeline/shard/left-out.js';
import { readShard, type ReadOptions } from '#dist/pipeline/shard/read.js';
import { ShardError } from '#dist/pipeline/shard/shard-error.js';
import { closeSources, SourceError } from '#dist/pipeline/source/index.js';
import { noise, until } from '../../support/bytes.js';
import { answer, startHttp } from '../../support/http.js';
import { tarOf, type Member } from '../../support/tar.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-shard-'));
});
afterAll(() => rm(dir, { recursive: true }));

let written = 0;
async function shardOf(bytes: Uint8Array): Promise<string> {
  const path = join(dir, `${written++}.tar`);
  await writeFile(path, bytes);
  return path;
}

async function read(location: string, options?: ReadOptions): Promise<ShardSample[]> {
  const samples: ShardSample[] = [];
  for await (const sample of readShard(location, options)) samples.push(sample);
  return samples;
}

async function readMembers(...members: Member[]): Promise<ShardSample[]> {
  return read(await shardOf(await tarOf(members)));
}

/** The samples and what is left out of them. */
async function account(...given: [ReadOptions | Member, ...Member[]]): Promise<{ samples: ShardSample[]; leftOut: LeftOut[] }> {
  const [first, ...rest] = given;
  const [options, members] = 'name' in first ? [{}, [first, ...rest]] : [first, rest];
  const leftOut: LeftOut[] = [];
  const location = await shardOf(await tarOf(members));
  return { samples: await read(location, { ...options, onLeftOut: (one) => leftOut.push(one) }), leftOut };
}

const brief = ({ key, index, label }: ShardSample): unknown => [key, index, label];
const failure = (location: string, options?: ReadOptions): Promise<unknown> => read(location, options).catch((error: unknown) => error);

describe('readShard', () => {
  test('yields images with key, ordinal, label and the place of their header', async () => {
    const members = ['a', 'b', 'c'].flatMap((name, i) => [
      { name: `train/${name}.jpg`, body: noise(700 * (i + 1), i) },
      { name: `train/${name}.cls`, body: `${i * 10}\n` },
      { name: `train/${name}.json`, body: '{}' },
    ]);
    const bytes = await tarOf(members);
    const samples = await read(await shardOf(bytes));
    expect(samples.map(brief)).toEqual([
      ['train/a', 0, 0],
      ['train/b', 1, 10],
      ['train/c', 2, 20],
    ]);
    samples.forEach(({ image, offset, key }, i) => {
      expect(image.equals(noise(700 * (i + 1), i))).toBe(true);
      expect(bytes.toString('latin1', offset, offset + 11)).toBe(`${key}.jpg`);
      expect(bytes.subarray(offset + 512, offset + 512 + image.byteLength).equals(image)).toBe(true);
      // Of its own, so that it can be transferred and pins no read chunk.
      expect(image.buffer.byteLength).toBe(image.byteLength);
    });
  });

  test('takes the label from either side of the image', async () => {
    const samples = await readMembers(
      { name: 'a.cls', body: '1' },
      { name: 'a.png', body: 'x' },
      { name: 'b.webp', body: 'y' },
      { name: 'b.cls', body: '-1' },
    );
    expect(samples.map(brief)).toEqual([
      ['a', 0, 1],
      ['b', 1, -1],
    ]);
  });

  test('reads an official class archive: images only, extensions in capitals', async () => {
    const samples = await readMembers({ name: 'n01440764_10026.JPEG', body: 'x' }, { name: 'n01440764_10027.JPEG', body: 'y' });
    expect(samples.map(brief)).toEqual([
      ['n01440764_10026', 0, undefined],
      ['n01440764_10027', 1, undefined],
    ]);
  });

  test('gives no ordinal to what is not a sample, and names it', async () => {
    const { samples, leftOut } = await account(
      { name: './in/', type: 'directory' },
      { name: 'orphan.cls', body: '3' },
      { name: 'text.txt', body: 'x' },
      { name: '._a.jpg', body: 'macOS' },
      { name: 'link.jpg', type: 'symlink' },
      { name: 'noextension', body: 'x' },
      { name: './in/a.jpg', body: 'a' },
      { name: './in/a.txt', body: 'a field of the sample' },
      { name: 'in.v2/b.jpeg', body: 'b' },
    );
    expect(samples.map(({ key, index, image }) => [key, index, image.toString()])).toEqual([
      ['in/a', 0, 'a'],
      ['in.v2/b', 1, 'b'],
    ]);
    expect(leftOut.map(({ kind, name }) => [kind, name])).toEqual([
      ['file without image', 'orphan.cls'],
      ['AppleDouble file', '._a.jpg'],
      ['symbolic link', 'link.jpg'],
      ['file without extension', 'noextension'],
      ['file without image', 'text.txt'],
    ]);
  });

  test('leaves a sample unlabelled whose label is not a number', async () => {
    const { samples, leftOut } = await account(
      { name: 'a.jpg', body: 'x' },
      { name: 'a.cls', body: 'cat\n' },
      { name: 'b.cls', body: '1'.repeat(300) },
      { name: 'b.jpg', body: 'y' },
      { name: 'c.jpg', body: 'z' },
      { name: 'c.cls', body: '2.5' },
      { name: 'd.jpg', body: 'w' },
      { name: 'd.cls' },
    );
    expect(samples.map(brief)).toEqual(['a', 'b', 'c', 'd'].map((key, i) => [key, i, undefined]));
    for (const sample of samples) expect(sample).not.toHaveProperty('problem');
    expect(leftOut).toEqual([
      {
        kind: 'unusable label',
        name: 'a.cls',
        offset: 1024,
        problem: expect.stringMatching(/^holds the label "cat"; expected a whole number; .*--classes-file/),
      },
      { kind: 'unusable label', name: 'b.cls', offset: 2048, problem: expect.stringContaining('label "300 bytes"') },
      { kind: 'unusable label', name: 'c.cls', offset: 5120, problem: expect.stringContaining('label "2.5"') },
      { kind: 'unusable label', name: 'd.cls', offset: 7168, problem: expect.stringContaining('label ""') },
    ]);
  });

  test('leaves out a label that a batch cannot hold as it is', async () => {
    const { samples, leftOut } = await account(
      {},
      { name: 'a.jpg' },
      { name: 'a.cls', body: '2147483647' },
      { name: 'b.jpg' },
      { name: 'b.cls', body: '4294967299' },
    );
    expect(samples.map(({ label }) => label)).toEqual([2_147_483_647, undefined]);
    expect(leftOut.map(({ problem }) => problem)).toEqual([
      'holds the label "4294967299"; expected a whole number of 32 bits; for class names give classNames (--classes-file)',
    ]);
  });

  test('reads labels that are class names by their place in the list', async () => {
    const fields = { classNames: ['n01440764', 'tench', '7'] };
    const { samples, leftOut } = await account(
      { fields },
      { name: 'a.jpg' },
      { name: 'a.cls', body: 'tench\n' },
      { name: 'b.jpg' },
      { name: 'b.cls', body: '7' },
      { name: 'c.jpg' },
      { name: 'c.cls', body: '1' },
      { name: 'd.jpg' },
      { name: 'd.cls', body: 'shark' },
    );
    expect(samples.map(({ label }) => label)).toEqual([1, 2, 1, undefined]);
    expect(leftOut.map(({ problem }) => problem)).toEqual(['holds the label "shark"; expected a whole number or one of 3 class names']);
  });

  test('reads names too long for a plain header', async () => {
    const key = `${'directory/'.repeat(30)}${'é'.repeat(60)}`;
    expect((await readMembers({ name: `${key}.jpg`, body: 'x' }, { name: `${key}.cls`, body: '5' })).map(brief)).toEqual([[key, 0, 5]]);
  });

  test('reads members that are empty or larger than a read', async () => {
    const large = noise(3_500_000);
    const samples = await readMembers({ name: 'a.jpg' }, { name: 'b.jpg', body: large }, { name: 'c.jpg', body: 'x' });
    expect(samples.map(({ image }) => image.byteLength)).toEqual([0, large.byteLength, 1]);
    expect(samples[1]?.image.equals(large)).toBe(true);
  });

  test('yields a part, and the parts make the whole', async () => {
    const location = await shardOf(
      await tarOf(
        Array.from({ length: 11 }, (_, i) => [
          { name: `${i}.jpg`, body: `${i}` },
          { name: `${i}.cls`, body: `${i}` },
        ]).flat(),
      ),
    );
    const whole = await read(location);
    const parts = await Promise.all([0, 1, 2].map((part) => read(location, { part: { part, parts: 3 } })));
    expect(parts.map((samples) => samples.map(({ index }) => index % 3))).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
      [2, 2, 2],
    ]);
    expect(parts.flat().toSorted((a, b) => a.index - b.index)).toEqual(whole);
  });

  test('does not even look at the labels of samples in other parts', async () => {
    const location = await shardOf(
      await tarOf([{ name: 'a.jpg' }, { name: 'a.cls', body: 'bad' }, { name: 'b.jpg' }, { name: 'b.cls', body: '1' }]),
    );
    expect((await read(location, { part: { part: 1, parts: 2 } })).map(brief)).toEqual([['b', 1, 1]]);
  });
});

describe('readShard refuses', () => {
  const members = Array.from({ length: 5 }, (_, i) => ({ name: `${i}.jpg`, body: noise(1000, i) }));

  test('an archive cut at any place but between members, naming the byte', async () => {
    const bytes = await tarOf(members);
    for (const size of [1, 511, 700, 1537, 1536 * 2 + 100, 1536 * 4 + 1000]) {
      const location = await shardOf(bytes.subarray(0, size));
      const error = await failure(location);
      expect(error).toBeInstanceOf(ShardError);
      expect(String(error)).toContain(location);
      if (size > 512) expect(String(error)).toContain(`ends at byte ${size} in the middle of the archive`);
      else expect(String(error)).toMatch(/is not a tar archive/);
    }
  });

  test('damage in the middle, naming the byte, after the samples before it', async () => {
    const bytes = await tarOf(members);
    bytes.fill(0xff, 1536 * 3, 1536 * 3 + 100);
    const location = await shardOf(bytes);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { key } of readShard(location)) seen.push(key);
    })();
    await expect(reading).rejects.toThrow(/is damaged at byte 4608; copy it again/);
    expect(seen).toEqual(['0', '1']);
  });

  test('what is not a tar archive: gzip, text, nothing', async () => {
    const gzip = await failure(await shardOf(gzipSync(await tarOf(members))));
    expect(String(gzip)).toMatch(/compressed with gzip.*expand it first: gunzip/);
    const text = await failure(await shardOf(Buffer.from('text '.repeat(1000))));
    expect(String(text)).toMatch(/is not a tar archive; check what the file is/);
    const empty = await failure(await shardOf(Buffer.alloc(0)));
    expect(String(empty)).toMatch(/is empty; expected a tar archive/);
    for (const error of [gzip, text, empty]) expect(error).toBeInstanceOf(ShardError);
  });

  test('a page that asks for a login, which the server sends with status 200, and a pointer of Git LFS', async () => {
    const page = Buffer.from('<!doctype html>\n<html lang="en"><head><title>Sign in</title></head><body></body></html>');
    const server = await startHttp((request, response) => answer(request, response, { body: page, etag: '"1"' }));
    try {
      const error = await failure(`${server.url}/train-000.tar`);
      expect(error).toBeInstanceOf(ShardError);
      expect(String(error)).toMatch(/train-000\.tar: is a page of HTML or XML.* the server may want a login: DETCO_HTTP_HEADERS/);
    } finally {
      await server.close();
      await closeSources();
    }
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 146800640\n';
    expect(String(await failure(await shardOf(Buffer.from(pointer))))).toMatch(/is a pointer of Git LFS.* git lfs pull/);
  });

  test('a missing shard', async () => {
    const error = await failure(join(dir, 'none.tar'));
    expect(error).toBeInstanceOf(SourceError);
    expect(String(error)).toMatch(/none\.tar: no such file/);
  });
});

describe('readShard lets go', () => {
  const bytes = tarOf(Array.from({ length: 40 }, (_, i) => ({ name: `${i}.jpg`, body: noise(200_000, i) })));
  const openFiles = async (location: string): Promise<number> => {
    const links = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    return links.filter((link) => link === location).length;
  };

  test('of the file when the reader leaves, throws or aborts', async () => {
    const location = await shardOf(await bytes);
    for await (const _ of readShard(location)) {
      expect(await openFiles(location)).toBe(1);
      break;
    }
    await until(async () => (await openFiles(location)) === 0);
    const reason = new Error('enough');
    const throwing = async (): Promise<void> => {
      for await (const _ of readShard(location)) throw reason;
    };
    await expect(throwing()).rejects.toBe(reason);
    await until(async () => (await openFiles(location)) === 0);
    const abort = new AbortController();
    const aborting = async (): Promise<number> => {
      let seen = 0;
      for await (const _ of readShard(location, { signal: abort.signal })) if (++seen === 2) abort.abort(reason);
      return seen;
    };
    await expect(aborting()).rejects.toBe(reason);
    await until(async () => (await openFiles(location)) === 0);
    await expect(read(location, { signal: abort.signal })).rejects.toBe(reason);
  });

  test('of the socket, also while the server is silent', async () => {
    const body = await bytes;
    const server = await startHttp((request, response) => {
      if (request.url === '/whole.tar') answer(request, response, { body, etag: '"1"' });
      else response.writeHead(200, { 'content-length': body.byteLength }).write(body.subarray(0, 1_000_000));
    });
    expect(await read(`${server.url}/whole.tar`)).toHaveLength(40);
    await closeSources();
    await until(async () => (await server.connections()) === 0);
    for await (const { index } of readShard(`${server.url}/silent.tar`)) if (index === 1) break;
    await until(async () => (await server.connections()) === 0);
    const abort = new AbortController();
    const reason = new Error('enough');
    const samples = readShard(`${server.url}/silent.tar`, { signal: abort.signal });
    const drain = async (): Promise<void> => {
      for await (const { index } of samples) if (index === 2) setImmediate(() => abort.abort(reason));
    };
    await expect(drain()).rejects.toBe(reason);
    await until(async () => (await server.connections()) === 0);
    await server.close();
  });
});
