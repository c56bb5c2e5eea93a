import { copyFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { verifyShards, type VerifyOptions } from '#dist/pipeline/shard/verify.js';
import { testKey, writeTestShards } from '../../support/shards.js';
import { fixtureSamples } from '../../support/images.js';
import { tarOf } from '../../support/tar.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-verify-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const verify = (shards: readonly string[], options: Partial<VerifyOptions> = {}) =>
  verifyShards(shards, { decode: true, workers: 2, ...options });

async function shardOf(name: string, members: Parameters<typeof tarOf>[0]): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, await tarOf(members));
  return path;
}

async function offsetOf(shard: string, key: string): Promise<number> {
  for await (const sample of readShard(shard)) if (sample.key === key) return sample.offset;
  throw new Error(`no ${key}`);
}

test('sound shards have no problems', async () => {
  const shards = await writeTestShards(dir, { counts: [5, 7] });
  const seen: number[] = [];
  const report = await verify(shards, { onProgress: ({ samples }) => seen.push(samples) });
  const bytes = (await Promise.all(shards.map((path) => readFile(path)))).reduce((sum, { length }) => sum + length, 0);
  const labels = { labelled: 12, distinct: 5, lowest: 0, highest: 4 };
  const hardware = { images: 12, taken: 12, refused: {} };
  expect(report).toEqual({ shards: 2, samples: 12, bytes, labels, hardware, problems: [] });
  expect(Math.max(...seen)).toBe(12);
});

test('what may be labels under another name is told, and is no problem', async () => {
  const [first, second, third] = await fixtureSamples(3);
  const shard = await shardOf('target.tar', [
    { name: 'a.jpg', body: first?.image },
    { name: 'a.target.cls', body: '1' },
    { name: 'b.jpg', body: second?.image },
    { name: 'b.target.cls', body: '2' },
  ]);
  const another = await shardOf('target-too.tar', [
    { name: 'c.jpg', body: third?.image },
    { name: 'c.target.cls', body: '3' },
  ]);
  const { otherLabels, problems } = await verify([shard, another], { decode: false });
  expect(problems).toEqual([]);
  expect(otherLabels).toMatchObject({
    shard,
    count: 3,
    first: { name: 'a.target.cls', problem: expect.stringContaining('--label-field') },
  });
  expect((await verify([shard], { decode: false, fields: { labelField: 'target.cls' } })).otherLabels).toBeUndefined();
});

describe('names with shard, key and byte', () => {
  test('images that do not decode, unless it may not decode', async () => {
    const [shard = ''] = await writeTestShards(dir, { counts: [6], bad: [testKey(0, 3)] });
    const { problems, samples } = await verify([shard]);
    expect(problems).toEqual([
      {
        kind: 'image',
        shard,
        key: testKey(0, 3),
        offset: await offsetOf(shard, testKey(0, 3)),
        problem: 'cannot be decoded: the image is text; expected JPEG, PNG or WebP',
      },
    ]);
    expect(samples).toBe(6);
    expect((await verify([shard], { decode: false })).problems).toEqual([]);
  });

  test('an SVG that is named .png, though the decoder could draw it', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>';
    const shard = await shardOf('drawn.tar', [{ name: 'a.png', body: svg }]);
    const { problems } = await verify([shard]);
    expect(problems).toEqual([
      { kind: 'image', shard, key: 'a', offset: 0, problem: 'cannot be decoded: the image is SVG; expected JPEG, PNG or WebP' },
    ]);
  });

  test('images that are larger than they may be, with any memory for decoding', async () => {
    const shards = await writeTestShards(dir, { counts: [5, 7] });
    const { problems } = await verify(shards, { maxPixels: 23, decodeMemory: 1 });
    expect(problems).toHaveLength(12);
    expect(problems[0]?.problem).toMatch(/^cannot be decoded: the image has \d+ x \d+ = \d+ pixels, more than maxPixels 23; /);
    expect((await verify(shards, { decodeMemory: 1 })).problems).toEqual([]);
  });

  test('archives that end in the middle or are none, and goes on to the others', async () => {
    const cut = resolve('fixtures/odd/cut.tar');
    const none = resolve('fixtures/odd/not-a-tar.tar');
    const [good = ''] = await writeTestShards(dir, { counts: [4] });
    const { problems, samples } = await verify([cut, none, good, join(dir, 'gone.tar')]);
    expect(problems.filter(({ kind }) => kind === 'archive')).toEqual([
      {
        kind: 'archive',
        shard: cut,
        offset: (await readFile(cut)).length,
        problem: expect.stringMatching(/^ends at byte \d+ in the middle/),
      },
      { kind: 'archive', shard: none, offset: 0, problem: expect.stringMatching(/^is not a tar archive/) },
      { kind: 'archive', shard: join(dir, 'gone.tar'), offset: 0, problem: expect.stringMatching(/^no such file/) },
    ]);
    expect(samples).toBe(5);
  });

  test('a shard that was cut off between two members', async () => {
    const [shard = ''] = await writeTestShards(dir, { counts: [6] });
    const at = await offsetOf(shard, testKey(0, 4));
    const cut = join(dir, 'cut.tar');
    await writeFile(cut, (await readFile(shard)).subarray(0, at));
    const { problems } = await verify([cut]);
    expect(problems).toEqual([
      { kind: 'archive without end', shard: cut, offset: at, problem: expect.stringContaining('ends without the two empty blocks') },
    ]);
  });

  test('keys that come twice in a set, and images that come twice, in a set or in two of them', async () => {
    const [a, b, c] = (await fixtureSamples(3)).map(({ image }) => image);
    const first = await shardOf('train-000.tar', [
      { name: 'x.jpg', body: a ?? '' },
      { name: 'y.jpg', body: b ?? '' },
      { name: 'x.png', body: c ?? '' },
    ]);
    const second = await shardOf('train-001.tar', [
      { name: 'z.jpg', body: b ?? '' },
      { name: 'y.jpg', body: 'text' },
    ]);
    const held = await shardOf('val-000.tar', [
      { name: 'x.jpg', body: 'another' },
      { name: 'y.jpg', body: b ?? '' },
    ]);
    const { problems } = await verify([first, second, held], { decode: false });
    expect(problems.map(({ kind, shard, key, problem }) => [kind, shard, key, problem])).toEqual([
      ['duplicate key', first, 'x', 'has the key of the sample at byte 0 of the same shard; rename one of the two'],
      ['duplicate image', second, 'z', `has the image of "y" in ${first}`],
      ['duplicate key', second, 'y', `has the key of the sample at byte ${await offsetOf(first, 'y')} of ${first}; rename one of the two`],
      ['duplicate image', held, 'y', `has the image of "y" in ${first}`],
    ]);
  });

  test('labels that are missing, no number, or out of range', async () => {
    const [a, b, c, d] = (await fixtureSamples(4)).map(({ image }) => image);
    const shard = await shardOf('labels.tar', [
      { name: 'a.jpg', body: a ?? '' },
      { name: 'a.cls', body: '9' },
      { name: 'b.jpg', body: b ?? '' },
      { name: 'c.jpg', body: c ?? '' },
      { name: 'c.cls', body: '-1' },
      { name: 'd.jpg', body: d ?? '' },
      { name: 'd.cls', body: 'cat' },
    ]);
    const problems = async (classes?: number) =>
      (await verify([shard], classes === undefined ? {} : { classes })).problems.map(
        ({ key, member, problem }) => `${key ?? member}: ${problem}`,
      );
    const always = ['b: has no label, and others have one', 'd: has no label, and others have one'];
    expect(await problems()).toEqual([
      'c: label -1; expected 0 or more',
      expect.stringMatching(/^d.cls: holds the label "cat"; expected a whole number/),
      ...always,
    ]);
    expect(await problems(9)).toContain('a: label 9; expected 0..8');
    expect(await problems(10)).not.toContain('a: label 9; expected 0..9');
  });
});

describe('against the index', () => {
  test('finds one changed bit of one image, although it decodes', async () => {
    const [source = ''] = await writeTestShards(dir, { counts: [6] });
    const shard = join(dir, 'shard.tar');
    await copyFile(source, shard);
    const indexDir = join(dir, 'index');
    await indexShards([shard], { dir: indexDir, workers: 1, batchSize: 4 });
    expect((await verify([shard], { indexDir })).problems).toEqual([]);
    const offset = await offsetOf(shard, testKey(0, 2));
    await using file = await open(shard, 'r+');
    // The density of the JFIF header, which no pixel depends on.
    await file.write(Buffer.from([0x55]), 0, 1, offset + 512 + 14);
    expect((await verify([shard], { indexDir })).problems).toEqual([
      {
        kind: 'index',
        shard,
        key: testKey(0, 2),
        offset,
        problem: expect.stringMatching(/^has checksum [0-9a-f]{8}, its index says [0-9a-f]{8}/),
      },
    ]);
  });

  test('says when there is none, and when the shard is another one', async () => {
    const [a = '', b = ''] = await writeTestShards(dir, { counts: [6, 5] });
    const indexDir = join(dir, 'index');
    await indexShards([a], { dir: indexDir, workers: 1, batchSize: 4 });
    await copyFile(b, a);
    const { problems } = await verify([a], { indexDir });
    expect(problems.map(({ problem }) => problem)).toEqual([
      expect.stringMatching(/^has \d+ bytes, its index says \d+$/),
      'has 5 samples, its index says 6',
      expect.stringMatching(/^is sample 0, its index says "s0-000"/),
    ]);
    expect((await verify([b], { indexDir })).problems).toEqual([
      { kind: 'index', shard: b, problem: `has no index in "${indexDir}"; make it with detco index` },
    ]);
  });
});

test('stops when it is aborted', async () => {
  const shards = await writeTestShards(dir, { counts: [20, 20] });
  const stop = new AbortController();
  const stopped = verify(shards, { signal: stop.signal, onProgress: ({ samples }) => samples === 10 && stop.abort(new Error('enough')) });
  await expect(stopped).rejects.toThrow('enough');
});
