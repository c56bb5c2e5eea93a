/** An ImageFolder or a list of files becomes shards. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { makeShards, type MakeShardsOptions, ShardPlanError } from '#dist/pipeline/shard/make/index.js';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { decodeImage } from '#dist/pipeline/worker/decode.js';
import { ShardExistsError } from '#dist/pipeline/shard/write.js';
import sharp, { type Sharp } from 'sharp';
import { className, fixtureSamples, readAll, writeImageFolder } from '../../../support/images.js';

let root: string;
let folder: string;
let samples: ShardSample[];
let out: string;
let runs = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'detco-make-'));
  folder = join(root, 'images');
  samples = await fixtureSamples(60);
  await writeImageFolder(folder, samples);
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(() => {
  out = join(root, `out-${runs++}`);
});

const make = (options: Partial<MakeShardsOptions> = {}) =>
  makeShards({ source: folder, dir: out, prefix: 'train', perShard: 25, quality: 90, seed: 0, workers: 2, ...options });
const shardPaths = async (dir: string) =>
  (await readdir(dir))
    .filter((name) => name.endsWith('.tar'))
    .toSorted()
    .map((name) => join(dir, name));
/** By digest: comparing bytes one by one takes long. */
const shardBytes = async (dir: string) =>
  Promise.all(
    (await shardPaths(dir)).map(async (path) =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ),
  );
const order = async (dir: string) => [...(await readAll(await shardPaths(dir))).keys()];

describe('an ImageFolder', () => {
  test('comes back from the shards byte for byte, with the places of its sorted classes as labels', async () => {
    const report = await make();
    expect(report).toMatchObject({ shards: 3, images: 60, bad: 0, labelled: 60, resized: 0, pattern: 'train-{000000..000002}.tar' });
    const classes = (await readdir(folder)).toSorted();
    expect((await readFile(join(out, 'classes.txt'), 'utf8')).trimEnd().split('\n')).toEqual(classes);
    const read = await readAll(await shardPaths(out));
    expect(read.size).toBe(60);
    for (const { key, label = 0, image } of samples) {
      const sample = read.get(`${className(label)}/${key}`);
      expect(sample?.label).toBe(classes.indexOf(className(label)));
      expect(sample?.image.equals(image)).toBe(true);
    }
  });

  test('is cut as evenly as can be, and each shard holds many classes', async () => {
    const report = await make({ perShard: 22 });
    const classes = report.classes;
    for (const path of await shardPaths(out)) {
      const labels: (number | undefined)[] = [];
      for await (const { label } of readShard(path)) labels.push(label);
      expect(labels).toHaveLength(20);
      expect(new Set(labels).size).toBeGreaterThan(classes / 4);
    }
  });

  test('gives the same bytes with any number of workers, others with another seed, and its own order unshuffled', async () => {
    await make({ workers: 1 });
    const other = `${out}-seed`;
    const again = `${out}-again`;
    const plain = `${out}-plain`;
    await make({ dir: again, workers: 5 });
    await make({ dir: other, seed: 1 });
    await makeShards({ source: folder, dir: plain, prefix: 'train', perShard: 25, quality: 90, workers: 2 });
    expect(await shardBytes(again)).toEqual(await shardBytes(out));
    const orders = await Promise.all([out, other, plain].map(order));
    expect(orders[0]).not.toEqual(orders[1]);
    expect(orders[2]).toEqual([...(orders[0] ?? [])].toSorted());
    expect(orders[2]).not.toEqual(orders[0]);
  });

  test('keeps what lies deeper, follows links, and says what it leaves out', async () => {
    const odd = join(root, 'odd');
    await mkdir(join(odd, 'b', 'deep'), { recursive: true });
    await mkdir(join(odd, '.hidden'), { recursive: true });
    await cp('fixtures/odd/files/a-plain.jpg', join(odd, 'b', 'deep', 'x.1.jpg'));
    await cp('fixtures/odd/files/f-png.JPEG', join(odd, 'b', 'deep', 'x_1.JPEG'));
    await cp('fixtures/odd/files/a-plain.jpg', join(odd, '.hidden', 'y.jpg'));
    await writeFile(join(odd, 'b', 'notes.txt'), 'no picture');
    await cp('fixtures/odd/files/a-plain.jpg', join(odd, 'loose.jpg'));
    await symlink(join(folder, className(samples[0]?.label ?? 0)), join(odd, 'a'));
    const report = await make({ source: odd });
    const read = await readAll(await shardPaths(out));
    expect(report).toMatchObject({ classes: 2, ignored: 1, loose: { count: 1, first: join(odd, 'loose.jpg') } });
    expect(read.get('b/deep/x_1')?.label).toBe(1);
    expect(read.get('b/deep/x_1-2')?.image).toEqual(await readFile('fixtures/odd/files/f-png.JPEG'));
    expect([...read.keys()].some((key) => key.startsWith('a/'))).toBe(true);
    expect([...read.keys()].some((key) => key.includes('hidden'))).toBe(false);
  });

  test('leaves out what has more pixels than it may, or is no JPEG, PNG or WebP, and refuses another limit later', async () => {
    const mixed = join(root, 'mixed');
    await mkdir(mixed, { recursive: true });
    await cp('fixtures/odd/files/a-plain.jpg', join(mixed, 'fits.jpg'));
    await writeFile(join(mixed, 'large.png'), await sharp('fixtures/odd/files/a-plain.jpg').resize(65, 48).png().toBuffer());
    await writeFile(join(mixed, 'drawn.png'), '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>');
    const options = { source: mixed, maxPixels: 64 * 48, decodeMemory: 1 };
    expect(await make(options)).toMatchObject({ images: 1, bad: 2 });
    const bad = await readFile(join(out, 'bad-samples.jsonl'), 'utf8');
    expect(bad).toContain('the image has 65 x 48 = 3120 pixels, more than maxPixels 3072');
    expect(bad).toContain('the image is SVG; expected JPEG, PNG or WebP');
    await expect(make({ source: mixed })).rejects.toThrow('--max-pixels 3072 then, (none) now');
  });

  test('makes a CMYK image smaller from the colours that the pipeline sees', async () => {
    const inks = join(root, 'inks');
    await mkdir(inks, { recursive: true });
    await cp('fixtures/odd/files/c-cmyk.jpg', join(inks, 'c.jpg'));
    expect(await make({ source: inks, resizeShort: 24, quality: 100 })).toMatchObject({ images: 1, resized: 1 });
    const { image } = [...(await readAll(await shardPaths(out))).values()][0] ?? {};
    const { data, ...size } = await decodeImage(await readFile(join(inks, 'c.jpg')));
    const expected = await sharp(data, { raw: { ...size, channels: 3 } })
      .resize(32, 24, { fit: 'fill' })
      .raw()
      .toBuffer();
    const got = await sharp(image).raw().toBuffer();
    expect(got).toHaveLength(expected.length);
    const distance = got.reduce((sum, level, i) => sum + Math.abs(level - (expected[i] ?? 0)), 0) / got.length;
    // What JPEG costs; by way of a profile it would be above 10.
    expect(distance).toBeLessThan(3);
  });

  test('without class folders gives images without labels', async () => {
    const report = await make({ source: join(folder, className(samples[0]?.label ?? 0)) });
    expect(report).toMatchObject({ labelled: 0, classes: 0 });
    expect(report.images).toBeGreaterThan(0);
  });
});

test('a list gives paths relative to itself, labels after tabs and spaces, and images twice when named twice', async () => {
  const list = join(root, 'list of images');
  const [first, second, third] = samples.map(({ key, label = 0 }) => `images/${className(label)}/${key}.JPEG`);
  await writeFile(list, `# a comment\n${first} 7\r\n\n${second}\t-1\n${third}\n${first} 7\n./${folder}/../${second}\n`.replace('.//', '/'));
  const report = await make({ source: list });
  const read = await readAll(await shardPaths(out));
  expect(report).toMatchObject({ images: 5, labelled: 3 });
  const key = (path = '') => path.replace('.JPEG', '');
  expect(read.get(key(first))?.label).toBe(7);
  expect(read.get(`${key(first)}-2`)?.image.equals(samples[0]?.image ?? Buffer.alloc(0))).toBe(true);
  expect(read.get(key(second))?.label).toBe(-1);
  expect(read.get(key(third))?.label).toBeUndefined();
});

test('what is no file is a bad image, and is not waited for', async () => {
  const pipes = join(root, 'pipes');
  await mkdir(pipes);
  await cp('fixtures/odd/files/a-plain.jpg', join(pipes, '0.jpg'));
  execFileSync('mkfifo', [join(pipes, '1.jpg')]);
  expect(await make({ source: pipes })).toMatchObject({ images: 1, bad: 1 });
  expect(await readFile(join(out, 'bad-samples.jsonl'), 'utf8')).toContain('it is a pipe, a socket, a device or a folder: expected a file');
});

test('bad images are left out and listed, and the others keep their places', async () => {
  const report = await make({ source: 'fixtures/odd/files', perShard: 4 });
  const listed = (await readFile(join(out, 'bad-samples.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(report).toMatchObject({ images: 7, bad: 3, shards: 3 });
  expect(listed.map(({ key }) => key).toSorted()).toEqual(['h-truncated', 'i-empty', 'j-text']);
  expect(listed.find(({ key }) => key === 'i-empty')).toEqual({
    source: join(process.cwd(), 'fixtures/odd/files/i-empty.jpg'),
    key: 'i-empty',
    reason: 'the image is empty (0 bytes)',
  });
  expect((await order(out)).length).toBe(7);
});

describe('--resize-short', () => {
  test('makes the shorter side that long and keeps smaller images as they are', async () => {
    const sizes = join(root, 'sizes');
    await mkdir(sizes, { recursive: true });
    const picture = (width: number, height: number, extra: (image: Sharp) => Sharp = (image) => image) =>
      extra(sharp({ create: { width, height, channels: 3, background: { r: 200, g: 10, b: 90 } } })).toBuffer();
    const made = {
      'wide.jpg': await picture(501, 375, (image) => image.jpeg()),
      'tall.png': await picture(100, 333, (image) => image.png()),
      'turned.jpg': await picture(300, 200, (image) => image.withMetadata({ orientation: 6 }).jpeg()),
      'same.jpg': await picture(64, 90, (image) => image.jpeg({ quality: 31 })),
      'small.webp': await picture(30, 500, (image) => image.webp()),
    };
    for (const [name, bytes] of Object.entries(made)) await writeFile(join(sizes, name), bytes);
    const report = await make({ source: sizes, resizeShort: 64 });
    const read = await readAll(await shardPaths(out));
    const size = async (key: string) => {
      const { width, height, format, orientation } = await sharp(read.get(key)?.image).metadata();
      return [width, height, format, orientation];
    };
    expect(report).toMatchObject({ images: 5, resized: 3 });
    expect(await size('wide')).toEqual([85, 64, 'jpeg', undefined]);
    expect(await size('tall')).toEqual([64, 213, 'jpeg', undefined]);
    expect(await size('turned')).toEqual([96, 64, 'jpeg', undefined]);
    expect(read.get('same')?.image.equals(made['same.jpg'])).toBe(true);
    expect(read.get('small')?.image.equals(made['small.webp'])).toBe(true);
    const [red, green, blue] = (await sharp(read.get('wide')?.image).stats()).channels.map(({ mean }) => Math.round(mean / 5));
    expect([red, green, blue]).toEqual([40, 2, 18]);
  });

  test('leaves out what cannot be decoded, and reads gray and CMYK', async () => {
    const report = await make({ source: 'fixtures/odd/files', resizeShort: 20 });
    expect(report).toMatchObject({ images: 7, bad: 3, resized: 6 });
    const read = await readAll(await shardPaths(out));
    expect((await sharp(read.get('c-cmyk')?.image).metadata()).space).toBe('srgb');
  });

  test('lower quality, fewer bytes', async () => {
    const high = await make({ resizeShort: 64, quality: 95 });
    const low = await make({ dir: `${out}-low`, resizeShort: 64, quality: 30 });
    expect(low.bytes).toBeLessThan(high.bytes);
  });
});

describe('a folder that holds shards', () => {
  test('made by the same command is left as it is', async () => {
    await make();
    const before = await shardBytes(out);
    expect(await make()).toMatchObject({ kept: 3, images: 60 });
    expect(await shardBytes(out)).toEqual(before);
  });

  test('of which one was cut, lost or left without a record gets it again', async () => {
    await make();
    const before = await shardBytes(out);
    const [a = '', b = '', c = ''] = await shardPaths(out);
    await truncate(a, 1000);
    await rm(b);
    await writeFile(`${c}.tmp`, 'left by a killed run');
    const record = join(out, 'shards.jsonl');
    await writeFile(record, (await readFile(record, 'utf8')).replace(/\{"record":\{"shard":2.*\n$/, '{"record":{"sha'));
    expect(await make()).toMatchObject({ kept: 0, images: 60 });
    expect(await shardBytes(out)).toEqual(before);
    expect((await readdir(out)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test.each<[string, Partial<MakeShardsOptions>, string]>([
    ['another size', { perShard: 30 }, '--per-shard 25 then, 30 now'],
    ['another seed', { seed: 4 }, '--seed 0 then, 4 now'],
    ['resizing', { resizeShort: 64 }, '--resize-short (none) then, 64 now'],
    ['another prefix', { prefix: 'val' }, '--prefix train then, val now'],
    ['another source', { source: 'fixtures/odd/files' }, 'content of the source has changed'],
  ])('made with other options is refused: %s', async (_what, options, message) => {
    await make();
    const before = await shardBytes(out);
    const refused = make(options);
    await expect(refused).rejects.toThrow(ShardPlanError);
    await expect(refused).rejects.toThrow(message);
    expect(await shardBytes(out)).toEqual(before);
  });

  test('of an unknown origin is refused', async () => {
    await mkdir(out);
    await writeFile(join(out, 'train-000000.tar'), 'precious');
    await expect(make()).rejects.toThrow(ShardExistsError);
    expect(await readFile(join(out, 'train-000000.tar'), 'utf8')).toBe('precious');
  });
});

describe('a source that is none', () => {
  test.each<[string, string | Buffer | undefined, string]>([
    ['nothing', undefined, 'there is nothing of that name; expected a folder of class folders'],
    ['an empty file', '', 'is empty; expected'],
    ['a pointer of Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'git lfs pull'],
    ['a gzip archive', Buffer.from([0x1f, 0x8b, 8, 0, 0]), 'is compressed with gzip, which is not supported'],
    ['bytes', Buffer.alloc(2000, 7).fill(0, 3, 9), 'is neither text nor a tar archive'],
    ['text', 'root:x:0:0\n', ':1: "root:x:0:0" names no .jpg, .jpeg, .png or .webp file; expected "path"'],
    ['a list with words for labels', 'a.jpg 1\nb.jpg cat\n', ':2: label "cat"; expected "path"'],
  ])('%s', async (name, content, message) => {
    const source = join(root, `source ${name}`);
    if (content !== undefined) await writeFile(source, content);
    const refused = make({ source });
    await expect(refused).rejects.toThrow(ShardPlanError);
    await expect(refused).rejects.toThrow(message);
    await expect(readdir(out)).rejects.toThrow('ENOENT');
  });

  test('a folder without images', async () => {
    await mkdir(join(root, 'none', 'inner'), { recursive: true });
    await writeFile(join(root, 'none', 'inner', 'readme.md'), '');
    await expect(make({ source: join(root, 'none') })).rejects.toThrow('has no image (it has 1 other file); expected files named .jpg');
  });

  test.each(['..', '../..'])('a folder with a link that leads back, to %s', async (target) => {
    const looped = join(root, `looped-${target.length}`, 'images');
    await mkdir(join(looped, 'a'), { recursive: true });
    await cp('fixtures/odd/files/a-plain.jpg', join(looped, 'a', '0.jpg'));
    await symlink(target, join(looped, 'a', 'loop'));
    await expect(make({ source: looped })).rejects.toThrow(/a\/loop(\/images)?" leads back to ".*images", which holds it: remove the link/);
  });

  test('a folder that would hold the shards too', async () => {
    for (const dir of [folder, join(folder, 'shards')]) await expect(make({ dir })).rejects.toThrow(`"${dir}" lies within the source`);
    expect(await make({ dir: `${folder}-shards` })).toMatchObject({ images: 60 });
  });

  test('images of which none can be read', async () => {
    const list = join(root, 'missing.txt');
    await writeFile(list, 'gone.jpg 1\nlost.jpg 2\n');
    await expect(make({ source: list })).rejects.toThrow(`no image of 2 in "${list}" can be read`);
    expect(await readFile(join(out, 'bad-samples.jsonl'), 'utf8')).toContain('ENOENT');
  });
});

test('an aborted run removes the unfinished shard, and the next one goes on', async () => {
  const stop = new AbortController();
  const stopped = make({ workers: 1, signal: stop.signal, onProgress: ({ images }) => images === 30 && stop.abort(new Error('enough')) });
  await expect(stopped).rejects.toThrow('enough');
  expect((await readdir(out)).toSorted()).toEqual(['classes.txt', 'shards.jsonl', 'train-000000.tar']);
  expect(await make()).toMatchObject({ kept: 1, shards: 3 });
  await make({ dir: `${out}-whole` });
  expect(await shardBytes(out)).toEqual(await shardBytes(`${out}-whole`));
});
