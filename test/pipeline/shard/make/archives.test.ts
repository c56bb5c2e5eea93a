/** Tar archives become shards: ILSVRC's archive of class archives, class archives, other shards; from disk, HTTP and S3. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { makeShards, type MakeShardsOptions, ShardPlanError } from '#dist/pipeline/shard/make/index.js';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { ShardError } from '#dist/pipeline/shard/shard-error.js';
import { closeSources, SourceError } from '#dist/pipeline/source/index.js';
import { detcoUntil } from '../../../cli/detco.js';
import { setEnv } from '../../../support/env.js';
import { answer, startHttp } from '../../../support/http.js';
import { className, fixtureSamples, readAll } from '../../../support/images.js';
import { startS3 } from '../../../support/s3.js';
import { tarOf } from '../../../support/tar.js';

jest.setTimeout(120_000);

let root: string;
let samples: ShardSample[];
let classes: string[];
/** As ILSVRC2012_img_train.tar is built; its classes are not in sorted order. */
let nested: Buffer;
let source: string;
let out: string;
let runs = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'detco-archives-'));
  samples = await fixtureSamples(240);
  classes = [...new Set(samples.map(({ label = 0 }) => className(label)))].toSorted();
  nested = await tarOf(await classArchives(classes.toReversed()));
  source = join(root, 'train.tar');
  await writeFile(source, nested);
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(() => {
  out = join(root, `out-${runs++}`);
});

async function classArchives(names: readonly string[]) {
  const archives: { name: string; body: Buffer }[] = [];
  for (const name of names) {
    const members = samples.filter(({ label = 0 }) => className(label) === name);
    archives.push({
      name: `${name}.tar`,
      body: await tarOf(members.map(({ key, image }) => ({ name: `${name}_${key}.JPEG`, body: image }))),
    });
  }
  return archives;
}

const make = (options: Partial<MakeShardsOptions> = {}) =>
  makeShards({ source, dir: out, prefix: 'train', perShard: 50, quality: 90, seed: 0, workers: 2, ...options });
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
const left = async (dir: string) => (await readdir(dir)).filter((name) => name.endsWith('.tmp'));

function expectAll(read: ReadonlyMap<string, ShardSample>): void {
  expect(read.size).toBe(samples.length);
  for (const { key, label = 0, image } of samples) {
    const sample = read.get(`${className(label)}/${className(label)}_${key}`);
    expect(sample?.label).toBe(classes.indexOf(className(label)));
    expect(sample?.image.equals(image)).toBe(true);
  }
}

describe('an archive of class archives', () => {
  test('comes back byte for byte, with the places of the sorted classes as labels', async () => {
    const report = await make();
    expect(report).toMatchObject({ shards: 5, images: 240, bad: 0, labelled: 240, classes: classes.length });
    expect((await readFile(join(out, 'classes.txt'), 'utf8')).trimEnd().split('\n')).toEqual(classes);
    expectAll(await readAll(await shardPaths(out)));
    expect(await left(out)).toEqual([]);
  });

  test('gives even shards, each with many classes in no order', async () => {
    await make({ perShard: 60 });
    for (const path of await shardPaths(out)) {
      const labels: number[] = [];
      for await (const { label = -1 } of readShard(path)) labels.push(label);
      expect(labels).toHaveLength(60);
      expect(new Set(labels).size).toBeGreaterThan(classes.length / 2);
      const steps = labels.filter((label, i) => i > 0 && label === labels[i - 1]).length;
      expect(steps).toBeLessThan(15);
    }
  });

  test('gives the same bytes with any number of workers and checkpoints, others with another seed', async () => {
    await make({ workers: 1 });
    await make({ dir: `${out}-b`, workers: 5, checkpointBytes: 1000 });
    await make({ dir: `${out}-c`, seed: 1 });
    const [a, b, c] = await Promise.all([out, `${out}-b`, `${out}-c`].map(shardBytes));
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
  });

  test('keeps the order of the archive unshuffled', async () => {
    await makeShards({ source, dir: out, prefix: 'train', perShard: 50, quality: 90, workers: 2 });
    const labels = [...(await readAll(await shardPaths(out))).values()].map(({ label }) => label ?? -1);
    expect(labels).toEqual(labels.toSorted((a, b) => b - a));
  });

  test('whose names are too long for one header, beside other files', async () => {
    const [first] = await classArchives(classes.slice(0, 1));
    const long = 'long'.repeat(60);
    const odd = join(root, 'odd.tar');
    await writeFile(
      odd,
      await tarOf([
        { name: 'README', body: 'text' },
        { name: 'a/', type: 'directory' },
        { name: `a/${long}.tar`, body: first?.body ?? '' },
      ]),
    );
    expect(await make({ source: odd })).toMatchObject({ classes: 1, bad: 0 });
    expect([...(await readAll(await shardPaths(out))).keys()][0]).toMatch(`${long}/`);
  });

  test('makes smaller what is too large, and leaves out what is bad, telling its byte', async () => {
    const odd = join(root, 'bad.tar');
    const bad = await tarOf([
      { name: 'a.jpg', body: samples[0]?.image ?? '' },
      { name: 'b.jpg', body: 'text' },
    ]);
    await writeFile(odd, await tarOf([{ name: 'cat.tar', body: bad }]));
    expect(await make({ source: odd, resizeShort: 32 })).toMatchObject({ images: 1, bad: 1, resized: 1 });
    const { offset, ...rest } = JSON.parse(await readFile(join(out, 'bad-samples.jsonl'), 'utf8')) as { offset: number };
    expect(rest).toEqual({ source: odd, key: 'cat/b', reason: 'the image is text; expected JPEG, PNG or WebP' });
    expect((await readFile(odd)).toString('latin1', offset, offset + 5)).toBe('b.jpg');
  });
});

describe('other archives', () => {
  test('class archives in a folder read as the archive that held them', async () => {
    await make();
    const folder = join(root, 'classes');
    await mkdir(folder);
    for (const { name, body } of await classArchives(classes)) await writeFile(join(folder, name), body);
    await make({ source: folder, dir: `${out}-folder` });
    expectAll(await readAll(await shardPaths(`${out}-folder`)));
  });

  test('shards keep their labels and, of more than one, get its name before their keys', async () => {
    expect(await make({ source: 'fixtures/shards/train-00{0,1}.tar', perShard: 300 })).toMatchObject({
      shards: 3,
      labelled: 624,
      classes: 0,
    });
    const before = await readAll(['fixtures/shards/train-001.tar']);
    const after = await readAll(await shardPaths(out));
    for (const [key, { label, image }] of before) {
      expect(after.get(`train-001/${key}`)?.label).toBe(label);
      expect(after.get(`train-001/${key}`)?.image.equals(image)).toBe(true);
    }
  });

  test('one archive of images has no labels and keeps its keys', async () => {
    expect(await make({ source: 'fixtures/odd/odd.tar' })).toMatchObject({ images: 9, bad: 3, labelled: 0 });
    expect([...(await readAll(await shardPaths(out))).keys()]).toContain('a-plain');
  });
});

test('HTTP and S3 give the bytes that the disk gives', async () => {
  await make();
  const whole = await shardBytes(out);
  const http = await startHttp((request, response) => answer(request, response, { body: nested, etag: '"v1"' }));
  const s3 = await startS3({ files: { 'train.tar': nested } });
  const undo = setEnv(s3.env);
  try {
    for (const [name, location] of [
      ['http', `${http.url}/train.tar`],
      ['s3', `${s3.url}/train.tar`],
    ] as const) {
      await make({ source: location, dir: `${out}-${name}` });
      expect(await shardBytes(`${out}-${name}`)).toEqual(whole);
    }
  } finally {
    await closeSources();
    undo();
    await s3.close();
    await http.close();
  }
});

describe('a killed run goes on and ends with the same bytes', () => {
  const options = (dir: string) => ({
    source,
    dir,
    prefix: 'train',
    perShard: 10,
    quality: 90,
    seed: 0,
    workers: 1,
    resizeShort: 64,
    checkpointBytes: 20_000,
  });
  const lines = (dir: string, what: string): number => {
    try {
      return readFileSync(join(dir, 'shards.jsonl'), 'utf8').split(`{"${what}"`).length - 1;
    } catch {
      return 0;
    }
  };
  const kill = async (dir: string, when: () => boolean) => {
    const { signal } = await detcoUntil([JSON.stringify(options(dir))], when, 'SIGKILL', { bin: 'test/support/make-shards.mjs' });
    expect(signal).toBe('SIGKILL');
  };

  test('while it reads, and while it writes', async () => {
    await makeShards(options(`${out}-whole`));
    await kill(out, () => lines(out, 'reading') >= 2);
    const reading = () => lines(out, 'reading');
    await kill(out, () => reading() >= 4);
    expect(lines(out, 'total')).toBe(0);
    await kill(out, () => lines(out, 'record') >= 3);
    expect(lines(out, 'record')).toBeLessThan(24);
    await kill(out, () => lines(out, 'record') >= 10);
    const read: string[] = [];
    const report = await makeShards({ ...options(out), onProgress: ({ share }) => read.push(share < 0.9 ? 'read' : 'write') });
    expect(report.kept).toBeGreaterThanOrEqual(10);
    expect(read).not.toContain('read');
    expect(await shardBytes(out)).toEqual(await shardBytes(`${out}-whole`));
    expect(await left(out)).toEqual([]);
  });

  test('reads the archive from where it was', async () => {
    const http = await startHttp((request, response) => answer(request, response, { body: nested, etag: '"v1"' }));
    try {
      const stop = new AbortController();
      const from = { source: `${http.url}/train.tar`, checkpointBytes: 20_000 };
      const stopped = make({ ...from, signal: stop.signal, onProgress: ({ images }) => images === 200 && stop.abort(new Error('enough')) });
      await expect(stopped).rejects.toThrow('enough');
      const before = http.requests.length;
      const seen: number[] = [];
      await make({ ...from, onProgress: ({ images }) => seen.push(images) });
      expect(seen[0]).toBeGreaterThan(100);
      const offsets = http.requests.slice(before).map(
        ({ range }) =>
          /^bytes=(\d+)-(\d+)/
            .exec(range ?? '')
            ?.slice(1)
            .map(Number) ?? [],
      );
      const content = offsets.filter(([first = 0, last = 0]) => last - first > 2000);
      expect(Math.min(...content.map(([first = 0]) => first))).toBeGreaterThan(nested.length / 3);
      await make({ dir: `${out}-whole` });
      expect(await shardBytes(out)).toEqual(await shardBytes(`${out}-whole`));
    } finally {
      await closeSources();
      await http.close();
    }
  });

  test('also when its spools or one of its shards have gone', async () => {
    await make();
    const whole = await shardBytes(out);
    await rm((await shardPaths(out))[2] ?? '');
    expect(await make()).toMatchObject({ kept: 4, images: 240 });
    expect(await shardBytes(out)).toEqual(whole);

    const stop = new AbortController();
    const dir = `${out}-spools`;
    const stopped = make({ dir, checkpointBytes: 20_000, signal: stop.signal, onProgress: ({ images }) => images === 200 && stop.abort() });
    await expect(stopped).rejects.toThrow();
    const [spool = ''] = await left(dir);
    await rm(join(dir, spool));
    expect(await make({ dir })).toMatchObject({ images: 240, kept: 0 });
    expect(await shardBytes(dir)).toEqual(whole);
  });
});

describe('what cannot be used', () => {
  test('an archive that was cut off, wherever', async () => {
    const cut = join(root, 'cut.tar');
    await writeFile(cut, nested.subarray(0, Math.floor(nested.length / 2)));
    await expect(make({ source: cut })).rejects.toThrow(ShardError);
    await expect(make({ source: cut })).rejects.toThrow(/if it was cut off, copy it again/);
    await expect(make({ source: 'fixtures/odd/cut.tar' })).rejects.toThrow(
      'in the middle of the archive; it was cut off, so copy it again',
    );
  });

  test('an archive that changed between two runs', async () => {
    const changing = join(root, 'changing.tar');
    await writeFile(changing, nested);
    await make({ source: changing });
    await writeFile(changing, await tarOf(await classArchives(classes.slice(1))));
    await expect(make({ source: changing })).rejects.toThrow(ShardPlanError);
    await expect(make({ source: changing })).rejects.toThrow('content of the source has changed');
  });

  test('an archive without images, a pattern that matches none, an URL that is not there', async () => {
    const empty = join(root, 'empty.tar');
    await writeFile(empty, await tarOf([{ name: 'README.md', body: 'text' }]));
    await expect(make({ source: empty })).rejects.toThrow('has no image; expected members named .jpg, .jpeg, .png or .webp');
    await expect(make({ source: join(root, 'none-*.tar') })).rejects.toThrow('matches no shard');
    const http = await startHttp((request, response) => answer(request, response, undefined));
    await expect(make({ source: `${http.url}/train.tar` })).rejects.toThrow(SourceError);
    await closeSources();
    await http.close();
  });
});

describe('archives of others', () => {
  const archive = (name: string): string => join('fixtures', 'archives', name);
  const keysOf = async (): Promise<string[]> => {
    const keys: string[] = [];
    for (const path of await shardPaths(out)) for await (const { key } of readShard(path)) keys.push(key);
    return keys.toSorted();
  };

  test.each([
    ['dots.tar', ['train/cat_0', 'train/cat_1', 'train/cat_2', 'train/dog_3', 'train/dog_4', 'train/dog_5']],
    ['dup-adjacent.tar', ['000', '000-2', '002']],
    ['two-images.tar', ['pair/000_input', 'pair/000_target', 'pair/001_input', 'pair/001_target']],
    ['latin1.tar', ['caf_xE8', 'caf_xE9']],
    ['v7.tar', ['000', '001', '002', '003', '004', '005']],
  ])('keep every image of %s, each under a key of its own', async (name, keys) => {
    await make({ source: archive(name) });
    expect(await keysOf()).toEqual(keys);
  });

  test('count what they leave out by its reason, and name the first', async () => {
    const { images, leftOut } = await make({ source: archive('hardlink.tar') });
    expect(images).toBe(3);
    expect(leftOut.map(({ kind, count, first }) => [kind, count, first.name, first.offset])).toEqual([
      ['symbolic link', 1, 'b/w.jpg', 6144],
      ['hard link', 2, 'b/x.jpg', 6656],
    ]);
    await expect(make({ source: archive('symlinks.tar'), dir: `${out}-links` })).rejects.toThrow(
      /has no image; .*4 symbolic links, such as "in100\/000\.jpg"/,
    );
  });

  test('are counted once by a run that goes on after a kill', async () => {
    const members = samples.slice(0, 40).flatMap(({ key, image }) => [
      { name: `${key}.jpg`, body: image },
      { name: `${key}.json`, body: '{}' },
      { name: `${key}.link.jpg`, type: 'symlink' as const },
    ]);
    const mixed = join(root, 'mixed.tar');
    await writeFile(mixed, await tarOf(members));
    const whole = await make({ source: mixed });
    const stop = new AbortController();
    const dir = `${out}-killed`;
    const onProgress = ({ images }: { readonly images: number }): void => {
      if (images === 20) stop.abort(new Error('killed'));
    };
    const options = { source: mixed, dir, checkpointBytes: 10_000 };
    await expect(make({ ...options, signal: stop.signal, onProgress })).rejects.toThrow('killed');
    const resumed = await make(options);
    const counts = [
      ['other field', 40],
      ['symbolic link', 40],
    ];
    for (const { leftOut } of [whole, resumed]) expect(leftOut.map(({ kind, count }) => [kind, count]).toSorted()).toEqual(counts);
    expect(await shardBytes(dir)).toEqual(await shardBytes(out));
  });
});
