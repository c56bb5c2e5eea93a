/** Other fields of samples come with a batch when they are asked for: the bytes that the shard holds, in the order of a run without. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BadSample, createPipeline, type PipelineOptions, type PipelineState, recipes } from '#dist/pipeline/index.js';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { digestBatches } from '../support/batches.js';
import { tarOf } from '../support/tar.js';

const SHARDS = [0, 1, 2, 3].map((i) => resolve(`fixtures/shards/train-00${i}.tar`));
const options: PipelineOptions = {
  shards: SHARDS,
  recipe: recipes.evaluation({ globalSize: 16 }),
  batchSize: 96,
  seed: 2,
  lanes: 4,
  workers: 2,
  shuffle: 16,
  fields: ['json'],
};

interface Seen {
  readonly keys: readonly string[];
  readonly fields: readonly unknown[];
  readonly state: PipelineState;
}

async function run(more: Partial<PipelineOptions> = {}): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const { samples, state } of await createPipeline({ ...options, ...more })) {
    const fields = samples.map(
      ({ fields: own }) =>
        own && Object.fromEntries(Object.entries(own).map(([name, bytes]) => [name, Buffer.from(bytes).toString('latin1')])),
    );
    seen.push({ keys: samples.map(({ key }) => key), fields, state });
  }
  return seen;
}

let folder: string;
let whole: Seen[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-fields-'));
  whole = await run();
});
afterAll(() => rm(folder, { recursive: true }));

async function shardOf(name: string, members: Parameters<typeof tarOf>[0]): Promise<string> {
  await writeFile(join(folder, name), await tarOf(members));
  return join(folder, name);
}

describe('the boxes of detco synth', () => {
  test('come as the bytes of each sample', async () => {
    const held = new Map<string, string>();
    for (const shard of SHARDS) {
      const fields = { kept: { names: ['json'], bytes: 1 << 16 } };
      for await (const { key, kept } of readShard(shard, { fields })) held.set(key, Buffer.from(kept?.['json'] ?? '').toString('latin1'));
    }
    expect(held.size).toBe(1248);
    expect(whole.length).toBe(13);
    for (const { keys, fields } of whole) expect(fields).toEqual(keys.map((key) => ({ json: held.get(key) })));
    const [first] = whole[0]?.fields ?? [];
    expect(JSON.parse((first as { json: string }).json)).toMatchObject({
      width: 96,
      boxes: [{ x: expect.any(Number), label: expect.any(Number) }],
    });
  });

  test('are not there unless they are asked for, and change no batch', async () => {
    const { fields, ...without } = options;
    const plain = await digestBatches(without);
    expect(await digestBatches({ ...options, fields })).toEqual(plain);
    expect(await digestBatches({ ...options, fields: [] })).toEqual(plain);
    expect(plain.map(({ keys }) => keys)).toEqual(whole.map(({ keys }) => keys));
    for await (const { samples } of await createPipeline(without)) {
      expect(samples.some((sample) => 'fields' in sample)).toBe(false);
      break;
    }
  });

  test('are those of the samples however many workers there are, and after a resume with and without an index', async () => {
    expect(await run({ workers: 4 })).toEqual(whole);
    const resume = whole[4]?.state as PipelineState;
    expect(await run({ resume })).toEqual(whole.slice(5));
    const indexDir = join(folder, 'index');
    await indexShards(SHARDS, { dir: indexDir, workers: 2, force: false, batchSize: 96 });
    expect(await run({ resume, indexDir })).toEqual(whole.slice(5));
    expect(await run({ indexDir, divide: 'samples' })).toHaveLength(13);
  });
});

describe('fields of samples', () => {
  test('are copies, in any order of members, of those that a sample has, by name in lower case', async () => {
    const [image] = await firstImages(1);
    const shard = await shardOf('odd.tar', [
      { name: 'a.boxes.TXT', body: 'before' },
      { name: 'a.jpg', body: image },
      { name: 'a.cls', body: '7' },
      { name: 'b.jpg', body: image },
      { name: 'c.jpg', body: image },
      { name: 'c.boxes.txt', body: '' },
      { name: 'c.other', body: 'not asked for' },
    ]);
    const batches = await createPipeline({
      ...options,
      shards: shard,
      shuffle: false,
      lanes: 1,
      workers: 1,
      batchSize: 3,
      fields: ['Boxes.txt', 'cls'],
    });
    let kept: unknown;
    for await (const { samples } of batches) kept = samples.map(({ fields }) => fields);
    expect(kept).toEqual([{ 'boxes.txt': bytesOf('before'), cls: bytesOf('7') }, {}, { 'boxes.txt': bytesOf('') }]);
  });

  test('of more bytes than they may have make a bad sample, and a name that comes twice gives its fields to nobody', async () => {
    const [image, other] = await firstImages(2);
    const shard = await shardOf('large.tar', [
      { name: 'a.jpg', body: image },
      { name: 'a.json', body: 'x'.repeat(60) },
      { name: 'a.txt', body: 'x'.repeat(41) },
      { name: 'b.jpg', body: image },
      { name: 'b.json', body: 'x'.repeat(100) },
      { name: 'c.json', body: 'whose?' },
      { name: 'c.jpg', body: image },
      { name: 'c.jpg', body: other },
    ]);
    const bad: BadSample[] = [];
    const leftOut: string[] = [];
    const seen = await run({
      shards: shard,
      shuffle: false,
      lanes: 1,
      workers: 1,
      batchSize: 3,
      fields: ['json', 'txt'],
      maxFieldBytes: 100,
      onBad: (sample) => bad.push(sample),
      onLeftOut: ({ kind, first }) => leftOut.push(`${kind}: ${first.name}`),
    });
    expect(seen.map(({ keys, fields }) => ({ keys, fields }))).toEqual([
      { keys: ['b', 'c', 'c'], fields: [{ json: 'x'.repeat(100) }, {}, {}] },
    ]);
    expect(bad).toMatchObject([
      { key: 'a', reason: 'its fields have 101 bytes, more than maxFieldBytes 100; raise it, or ask for fewer fields' },
    ]);
    expect(leftOut).toContain('repeated name: c.json');
  });

  test("are nobody's when a name comes twice, after a resume by index, too", async () => {
    const members = (await firstImages(12)).flatMap((body, i) => {
      const key = `k${Math.floor(i / 2)}`;
      const image = { name: `${key}.jpg`, body };
      return i % 2 === 0 ? [image] : [image, { name: `${key}.json`, body: key }];
    });
    const shard = await shardOf('twins.tar', members);
    const indexDir = join(folder, 'twins');
    await indexShards([shard], { dir: indexDir, workers: 1, force: false, batchSize: 3 });
    const more = { shards: shard, lanes: 1, workers: 1, batchSize: 1, shuffle: 4, onLeftOut: () => {} };
    const expected = await run(more);
    expect(expected.map(({ fields }) => JSON.stringify(fields))).toEqual(Array<string>(12).fill('[{}]'));
    for (const [step, { state }] of expected.entries()) {
      if (step < 11) expect(await run({ ...more, indexDir, resume: state })).toEqual(expected.slice(step + 1));
    }
  });

  test('that cannot be are refused', async () => {
    for (const fields of [[''], 'json'] as unknown as string[][])
      await expect(createPipeline({ ...options, fields })).rejects.toThrow('Pipeline option fields');
    await expect(createPipeline({ ...options, maxFieldBytes: 'much' })).rejects.toThrow(
      'Pipeline option maxFieldBytes: "much" is no amount of bytes',
    );
    await expect(createPipeline({ ...options, fields: ['json'], maxFieldBytes: '100TB' })).rejects.toThrow(
      /^Pipeline option maxFieldBytes: 100000000000000 for each of \d+ samples in \d+ slots is more than the/,
    );
  });
});

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

async function firstImages(count: number): Promise<Buffer[]> {
  const images: Buffer[] = [];
  for await (const { image } of readShard(SHARDS[0] ?? '')) if (images.push(image) === count) break;
  return images;
}
