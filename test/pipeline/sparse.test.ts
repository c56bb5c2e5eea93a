/** Images that `tar --sparse` packed in pieces come as those that are stored plainly: streamed, from an index, and after a resume. */
import { mkdir, mkdtemp, copyFile, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { createPipeline, type PipelineOptions, type PipelineState, recipes } from '#dist/pipeline/index.js';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { makeShards } from '#dist/pipeline/shard/make/index.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { indexPath, readIndex } from '#dist/pipeline/shard/shard-index.js';
import { verifyShards } from '#dist/pipeline/shard/verify.js';
import { digestBatches } from '../support/batches.js';
import { noise } from '../support/bytes.js';
import { hasGnuTar, packSparse, SPARSE_FORMS, type SparseForm, writeHoled } from '../support/gnu-tar.js';
import { fixtureSamples } from '../support/images.js';
import { tarOf } from '../support/tar.js';

const SAMPLES = 24;
const FORMS = Object.keys(SPARSE_FORMS) as SparseForm[];
/** Of every three, one is a JPEG. */
const isSparse = (sample: number): boolean => sample % 3 !== 0;

let dir: string;
let members: { name: string; body: Buffer | string }[];
let plain: string;

/** Mostly black, and not compressed, so that the file is mostly zeros. */
function holedPng(seed: number): Promise<Buffer> {
  const pixels = Buffer.alloc(3 * 128 * 128);
  for (const row of [0, 40, 41, 90]) pixels.set(noise(3 * 128, seed + row), 3 * 128 * row);
  return sharp(pixels, { raw: { width: 128, height: 128, channels: 3 } })
    .png({ compressionLevel: 0, adaptiveFiltering: false })
    .toBuffer();
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-sparse-'));
  members = [];
  for (const [i, { image }] of (await fixtureSamples(SAMPLES)).entries()) {
    const key = String(i).padStart(3, '0');
    members.push({ name: `${key}.cls`, body: String(i) }, { name: `${key}.json`, body: `{"sample":${i}}` });
    members.push(isSparse(i) ? { name: `${key}.png`, body: await holedPng(i) } : { name: `${key}.jpg`, body: image });
  }
  plain = join(dir, 'plain.tar');
  await writeFile(plain, await tarOf(members));
  await mkdir(join(dir, 'files'));
  for (const { name, body } of members) await writeHoled(join(dir, 'files', name), Buffer.from(body));
});
afterAll(() => rm(dir, { recursive: true }));

function sparseShard(form: SparseForm): string {
  const shard = join(dir, `${form}.tar`);
  const names = members.map(({ name }) => name);
  packSparse(shard, form, join(dir, 'files'), names);
  return shard;
}

async function run(shards: string, more: Partial<PipelineOptions> = {}) {
  const batches = await digestBatches({
    shards,
    recipe: recipes.evaluation({ globalSize: 16 }),
    batchSize: 4,
    seed: 3,
    lanes: 1,
    workers: 1,
    shuffle: 8,
    ...more,
  });
  return {
    batches: batches.map(({ keys, labels, pixels }) => ({ keys, labels, pixels })),
    states: batches.map(({ state }) => state),
  };
}

(hasGnuTar ? describe : describe.skip).each(FORMS)('images in pieces, as %s has them', (form) => {
  let shard: string;
  let indexDir: string;
  beforeAll(async () => {
    shard = sparseShard(form);
    indexDir = join(dir, `index of ${form}`);
    const report = await indexShards([shard], { dir: indexDir, workers: 1, batchSize: 4 });
    expect(report).toMatchObject({ samples: SAMPLES, leftOut: [], failed: [] });
    const indexed = (await readIndex(indexDir, shard))?.samples ?? [];
    expect(indexed.map(({ sparseEnd }) => sparseEnd !== undefined)).toEqual(indexed.map((_, i) => isSparse(i)));
  });

  test('give the batches of the same images stored plainly, streamed and by samples from an index', async () => {
    const { batches } = await run(plain);
    expect(batches).toHaveLength(SAMPLES / 4);
    expect((await run(shard)).batches).toEqual(batches);
    const divided = { divide: 'samples', lanes: 3, workers: 2, shuffle: 2 } as const;
    await indexShards([plain], { dir: indexDir, workers: 1, batchSize: 4 });
    expect((await run(shard, { ...divided, indexDir })).batches).toEqual((await run(plain, { ...divided, indexDir })).batches);
  });

  test.each([[undefined], [['json']]])('are fetched by the index after a resume, with fields %j', async (fields) => {
    const more = { indexDir, ...(fields && { fields }) };
    const { batches } = await run(plain);
    const { states } = await run(shard, more);
    for (const step of [0, 1, 3])
      expect((await run(shard, { ...more, resume: states[step] as PipelineState })).batches).toEqual(batches.slice(step + 1));
  });

  test('are compared by their checksums where a run goes on with a shard that was written again or moved', async () => {
    const elsewhere = join(dir, `moved ${form}`, `${form}.tar`);
    await mkdir(dirname(elsewhere));
    await copyFile(shard, elsewhere);
    const options = { recipe: recipes.evaluation({ globalSize: 16 }), batchSize: 4, workers: 1, lanes: 1, indexDir } as const;
    await using first = await createPipeline({ shards: shard, ...options });
    await utimes(shard, new Date(), new Date(0));
    for (const [shards, how] of [
      [shard, { contents: 1 }],
      [elsewhere, { moved: 1, samples: 1 }],
    ] as const) {
      await using again = await createPipeline({ shards, ...options, expect: first.found() });
      expect(again.compared).toMatchObject(how);
    }
    expect((await readIndex(indexDir, elsewhere))?.samples).toEqual((await readIndex(indexDir, shard))?.samples);
  });

  test('are verified, against their index too', async () => {
    const options = { decode: true, workers: 2, indexDir } as const;
    expect((await verifyShards([shard], options)).problems).toEqual([]);
    const asPlain = join(dir, `as plain ${form}`);
    await mkdir(asPlain);
    const { sparseEnd: _, ...columns } = JSON.parse(await readFile(indexPath(indexDir, shard), 'utf8')) as Record<string, unknown>;
    await writeFile(indexPath(asPlain, shard), JSON.stringify(columns));
    const { problems } = await verifyShards([shard], { ...options, indexDir: asPlain });
    expect(problems).toHaveLength(SAMPLES - SAMPLES / 3);
    expect(problems[0]).toMatchObject({
      kind: 'index',
      key: '001',
      problem: 'is stored in other pieces than its index says; index the shard again',
    });
  });

  test('are stored plainly by detco shard', async () => {
    const out = join(dir, `made of ${form}`);
    await makeShards({ source: shard, dir: out, prefix: 'train', perShard: SAMPLES, quality: 90, seed: 0, workers: 1 });
    const images = new Map<string, Buffer>();
    for await (const { key, image, sparseEnd } of readShard(join(out, 'train-000000.tar'))) {
      expect(sparseEnd).toBeUndefined();
      images.set(key, image);
    }
    for (const { name, body } of members.filter(({ name: one }) => one.endsWith('.png')))
      expect(images.get(name.replace('.png', ''))?.equals(Buffer.from(body))).toBe(true);
  });
});

(hasGnuTar ? describe : describe.skip)('a shard with sparse images', () => {
  test('that has changed since it was indexed ends a resume', async () => {
    const shard = sparseShard('PAX 1.0');
    const indexDir = join(dir, 'changed');
    const { states } = await run(shard, { indexDir });
    const bytes = await readFile(shard);
    for (const { offset, sparseEnd } of (await readIndex(indexDir, shard))?.samples ?? []) {
      if (sparseEnd === undefined) continue;
      // Behind the block of the map and the beginning of the image.
      const at = offset + 512 + 100;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    }
    await writeFile(shard, bytes);
    const resumed = run(shard, { indexDir, resume: states[1] as PipelineState });
    await expect(resumed).rejects.toThrow(/has changed since it was indexed: the checksum of \d+ is another/);
  });

  test('is held to limits by the size of each file, though little of it is stored', async () => {
    const folder = join(dir, 'large');
    await mkdir(folder);
    await writeHoled(join(folder, 'a.cls'), Buffer.alloc(5000));
    await writeFile(join(folder, 'a.png'), await holedPng(1));
    await truncate(join(folder, 'a.png'), 300 << 20);
    packSparse(join(folder, 'large.tar'), 'PAX 1.0', folder, ['a.cls', 'a.png']);
    const { problems } = await verifyShards([join(folder, 'large.tar')], { decode: true, workers: 1 });
    expect(problems).toMatchObject([
      { kind: 'unusable label', problem: expect.stringContaining('holds the label "5000 bytes"') },
      { kind: 'image', problem: 'image of 314572800 bytes; expected at most 268435456' },
    ]);
  });

  test('within another archive is refused by name', async () => {
    const folder = join(dir, 'nested');
    await mkdir(folder);
    await writeHoled(join(folder, 'n00000001.tar'), await tarOf(members));
    packSparse(join(folder, 'all.tar'), 'old GNU', folder, ['n00000001.tar']);
    const made = makeShards({
      source: join(folder, 'all.tar'),
      dir: join(folder, 'out'),
      prefix: 'x',
      perShard: 9,
      quality: 90,
      seed: 0,
      workers: 1,
    });
    await expect(made).rejects.toThrow(/all\.tar: holds the archive "n00000001\.tar" as a sparse file, in pieces; unpack it/);
  });
});
