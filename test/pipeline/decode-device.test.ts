/** Images that workers leave compressed: which, always the same, and with the views that the workers would have made of them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { type Batch, createPipeline, decodeCompressed, type PipelineOptions, recipes } from '#dist/pipeline/index.js';
import { hardwareVerdict } from '#dist/pipeline/jpeg/hardware.js';
import { noise } from '../support/bytes.js';
import { fixtureSamples } from '../support/images.js';
import { tarOf } from '../support/tar.js';

/** What cjpeg writes, by its options. */
const { cases } = JSON.parse(readFileSync(new URL('../../fixtures/golden/jpeg.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly { readonly name: string; readonly file: string }[];
};

let folder: string;
let options: PipelineOptions;
/** By key. */
let files: ReadonlyMap<string, Buffer>;

/** Keys of images that stay compressed begin with "left", those of bad ones with "bad". */
async function images(): Promise<Map<string, Buffer>> {
  const [photograph, other] = await fixtureSamples(2);
  if (!photograph || !other) throw new Error('no photographs');
  const picture = () => sharp(photograph.image).resize(143, 101, { fit: 'fill' });
  const plain = await picture().jpeg().toBuffer();
  const damaged = Buffer.from(await picture().jpeg().toBuffer());
  damaged.fill(0x55, damaged.length >> 1, (damaged.length >> 1) + 40);
  const large = sharp(noise(3 * 640 * 480), { raw: { width: 640, height: 480, channels: 3 } });
  const odd = ['c-cmyk.jpg', 'd-progressive.jpg', 'f-png.JPEG'].map((name) => {
    const file = readFileSync(new URL(`../../fixtures/odd/files/${name}`, import.meta.url));
    return [`decoded-${name.replace('.', '-')}`, file] as const;
  });
  return new Map([
    ['left-plain', plain],
    ['left-444', await picture().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer()],
    ['left-large', await sharp(other.image).resize(1203, 997, { fit: 'fill' }).jpeg().toBuffer()],
    ['left-damaged', damaged],
    ['left-with-more-after-its-end', Buffer.concat([plain, noise(300)])],
    ['decoded-too-long', await large.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer()],
    ['bad-cut', plain.subarray(0, plain.length >> 1)],
    ...odd,
    ...cases.map(({ file }, i): [string, Buffer] => {
      const bytes = Buffer.from(file, 'base64');
      return [`${hardwareVerdict(bytes).takes ? 'left' : 'decoded'}-cjpeg-${i}`, bytes];
    }),
  ]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-decode-'));
  files = await images();
  const members = Array.from(files, ([key, body]) => ({ name: `${key}.jpg`, body }));
  const shards = await Promise.all(
    [0, 1, 2, 3].map(async (shard) => {
      const path = join(folder, `${shard}.tar`);
      await writeFile(path, await tarOf(members.filter((_, i) => i % 4 === shard)));
      return path;
    }),
  );
  options = {
    shards,
    recipe: recipes.detco({ globalSize: 24, patchSize: 8 }),
    batchSize: 5,
    seed: 3,
    epochs: 2,
    lanes: 4,
    workers: 1,
    maxBadSamples: 20,
    augment: 'device',
  };
});
afterAll(() => rm(folder, { recursive: true }));

/** Samples, pixels, and what is left to do. */
function digest({ step, samples, views, state }: Batch): unknown {
  const hash = createHash('sha256');
  for (const { data } of Object.values(views)) hash.update(data);
  const pending = Object.entries(views).map(([name, view]) => [name, view.pending]);
  return { step, keys: samples.map(({ key }) => key), pixels: hash.digest('hex'), pending, state };
}

/** The batches of a run whose compressed images are decoded as a device would. */
async function digests(all: PipelineOptions): Promise<unknown[]> {
  const made: unknown[] = [];
  for await (const batch of await createPipeline(all)) made.push(digest(await decodeCompressed(batch)));
  return made;
}

test.each([
  ['detco', recipes.detco({ globalSize: 24, patchSize: 8 })],
  ['swav', recipes.swav({ globalSize: 24, localSize: 12 })],
  ['rotation', recipes.rotation({ globalSize: 24 })],
  ['insloc', recipes.insloc({ globalSize: 64 })],
  ['evaluation', recipes.evaluation({ globalSize: 24 })],
])('of recipe %s, they become the views that the workers make', async (_, recipe) => {
  const expected = await digests({ ...options, recipe });
  expect(expected.length).toBeGreaterThan(10);
  expect(await digests({ ...options, recipe, decode: 'device' })).toEqual(expected);
});

test('are the same with more workers, after a resume, and where images of before are kept', async () => {
  const left: PipelineOptions = { ...options, decode: 'device' };
  const compressed = async (all: PipelineOptions): Promise<unknown[]> => {
    const found: unknown[] = [];
    for await (const batch of await createPipeline(all)) {
      const images = batch.compressed?.map((image) => image && createHash('sha256').update(image.data).digest('hex'));
      found.push({ images, pending: batch.views['globalQ']?.pending, state: batch.state });
    }
    return found;
  };
  const whole = await compressed(left);
  expect(await compressed({ ...left, workers: 4, decodeMemory: 1 })).toEqual(whole);
  expect(await compressed({ ...left, workers: 2, decodedCache: '5MB' })).toEqual(whole);
  const { state } = whole[4] as { readonly state: NonNullable<PipelineOptions['resume']> };
  expect(await compressed({ ...left, resume: state })).toEqual(whole.slice(5));
});

test('are those that a GPU takes, whole, with what to cut out of them', async () => {
  const bad: string[] = [];
  const [left, decoded] = [new Set<string>(), new Set<string>()];
  const run = {
    ...options,
    epochs: 1,
    dropLast: false,
    decode: 'device',
    onBad: ({ key }: { readonly key: string }) => bad.push(key),
  } as const;
  const pipeline = await createPipeline(run);
  for await (const { samples, compressed, views, plans } of pipeline) {
    for (const [row, { key }] of samples.entries()) {
      const image = compressed?.[row];
      (image ? left : decoded).add(key);
      if (!image) continue;
      expect(Buffer.from(image.data)).toEqual(files.get(key));
      const { width, height } = await sharp(files.get(key)).metadata();
      expect(image).toMatchObject({ width, height });
      const crop = views['globalQ']?.pending?.[row]?.crop;
      expect(crop).toMatchObject({ size: 24, window: plans['globalQ']?.[row]?.box, mirrored: plans['globalQ']?.[row]?.flipped });
    }
  }
  expect(pipeline.meters().totals.workers.left).toBe(left.size);
  const keys = [...files.keys()];
  expect([...left].toSorted()).toEqual(keys.filter((key) => key.startsWith('left')).toSorted());
  expect([...decoded].toSorted()).toEqual(keys.filter((key) => key.startsWith('decoded')).toSorted());
  expect(bad).toEqual(['bad-cut']);
});

test('are none where a worker has more to do than to cut, and none unless asked for', async () => {
  const recipe = recipes.colorization({ globalSize: 24 });
  for await (const { compressed } of await createPipeline({ ...options, recipe, decode: 'device' }))
    expect(compressed?.every((image) => image === undefined)).toBe(true);
  for await (const batch of await createPipeline({ ...options, epochs: 1 })) {
    expect(batch.compressed).toBeUndefined();
    expect(await decodeCompressed(batch)).toBe(batch);
  }
});

test('have no more pixels than others may', async () => {
  const bad: string[] = [];
  const run = { ...options, epochs: 1, maxPixels: 1_000_000, onBad: ({ key }: { readonly key: string }) => bad.push(key) } as const;
  await digests({ ...run, decode: 'device' });
  expect(bad.toSorted()).toEqual(['bad-cut', 'left-large']);
});

test('one that cannot be decoded is named', async () => {
  const run = { ...options, epochs: 1, decode: 'device' } as const;
  for await (const batch of await createPipeline(run)) {
    const row = batch.compressed?.findIndex((image) => image !== undefined) ?? -1;
    batch.compressed?.[row]?.data.fill(0);
    const { key } = batch.samples[row] as Batch['samples'][number];
    await expect(decodeCompressed(batch)).rejects.toThrow(
      new RegExp(`^sample ${key} of .*\\.tar cannot be decoded: .*use decode 'worker'`),
    );
    break;
  }
});

test.each([
  [{ augment: 'worker' }, 'Pipeline option decode: device with augment worker'],
  [{ draft: true }, 'Pipeline option draft: true with decode device'],
  [{ decode: 'devise' }, 'Pipeline option decode: did you mean "device"?'],
] as const)('with %j are refused', async (more, message) => {
  const run = { ...options, decode: 'device', ...more } as PipelineOptions;
  await expect(createPipeline(run)).rejects.toThrow(message);
});
