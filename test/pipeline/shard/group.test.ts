/** Which members make a sample, and whose a label is. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import type { LeftOut } from '#dist/pipeline/shard/left-out.js';
import { readShard, type ReadOptions } from '#dist/pipeline/shard/read.js';
import { tarOf } from '../../support/tar.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-group-'));
});
afterAll(() => rm(dir, { recursive: true }));

interface Account {
  readonly all: readonly ShardSample[];
  /** Key, the image's bytes as text, label. */
  readonly samples: readonly (readonly [key: string, image: string, label: number | undefined])[];
  readonly problems: readonly (string | undefined)[];
  readonly leftOut: readonly (readonly [kind: string, name: string | undefined, problem: string])[];
}

/** An archive with these members: the body of an image is its place, that of a label what stands behind a colon. */
async function account(members: string, options: ReadOptions = {}): Promise<Account> {
  const path = join(dir, 'shard.tar');
  const named = members.split(' ').map((member, place) => {
    const [name = '', label] = member.split(':');
    return { name, body: label ?? `image ${place}` };
  });
  await writeFile(path, await tarOf(named));
  const leftOut: LeftOut[] = [];
  const all: ShardSample[] = [];
  const samples: Account['samples'][number][] = [];
  const problems: (string | undefined)[] = [];
  for await (const sample of readShard(path, { ...options, onLeftOut: (one) => leftOut.push(one) })) {
    const { key, image, label, problem } = sample;
    all.push(sample);
    samples.push([key, image.toString(), label]);
    problems.push(problem);
  }
  return { all, samples, problems, leftOut: leftOut.map(({ kind, name, problem }) => [kind, name, problem]) };
}

const names = ({ leftOut }: Account): unknown => leftOut.map(([kind, name]) => [kind, name]);

describe('names with more dots', () => {
  test('have their key before the first, and are images by their last extension', async () => {
    const { samples, leftOut } = await account('a/photo.v2.jpg a/10.22.31.JPG a/x.input.png a/x.cls:3');
    expect(samples).toEqual([
      ['a/photo', 'image 0', undefined],
      ['a/10', 'image 1', undefined],
      ['a/x', 'image 2', 3],
    ]);
    expect(leftOut).toEqual([]);
  });

  test('of two images in one sample neither is taken, and each is named', async () => {
    const { samples, problems } = await account('cat.0.jpg cat.1.jpg cat.cls:1 dog.jpg');
    expect(samples).toEqual([
      ['cat', '', 1],
      ['dog', 'image 3', undefined],
    ]);
    expect(problems).toEqual([expect.stringMatching(/^has 2 images: 0\.jpg, 1\.jpg; .*--image-field 0\.jpg.*detco shard/), undefined]);
    const [many] = (await account(Array.from({ length: 40 }, (_, i) => `cat.${i}.jpg`).join(' '))).problems;
    expect(many).toMatch(/^has 40 images: 0\.jpg, 1\.jpg, 2\.jpg, 3\.jpg, 4\.jpg, 5\.jpg and 34 more;/);
  });

  test('are chosen from by imageField and labelField', async () => {
    const pairs = 'a.cls:1 a.input.jpg a.kind:7 a.target.jpg b.Input.JPG b.target.jpg';
    expect((await account(pairs, { fields: { imageField: 'input.jpg', labelField: 'kind' } })).samples).toEqual([
      ['a', 'image 1', 7],
      ['b', 'image 4', undefined],
    ]);
    expect((await account(pairs, { fields: { imageField: 'TARGET.jpg' } })).samples).toEqual([
      ['a', 'image 3', 1],
      ['b', 'image 5', undefined],
    ]);
    expect((await account('a.jpg b.png b.mask.png', { fields: { imageField: 'jpg;png' } })).samples).toEqual([
      ['a', 'image 0', undefined],
      ['b', 'image 1', undefined],
    ]);
    expect((await account('a.bin a.cls:2', { fields: { imageField: 'bin' } })).samples).toEqual([['a', 'image 0', 2]]);
  });

  test('of which one only ends in cls is without a label, and told how to have it', async () => {
    const members = 'a.input.jpg a.target.cls:4 b.jpg b.cls:1 b.target.cls:2';
    const { samples, leftOut } = await account(members);
    expect(samples).toEqual([
      ['a', 'image 0', undefined],
      ['b', 'image 2', 1],
    ]);
    const told = expect.stringMatching(/choose it with labelField \(--label-field target\.cls\)$/);
    expect(leftOut).toEqual([['label of another field', 'a.target.cls', told]]);

    const chosen = await account(members, { fields: { labelField: 'target.cls' } });
    expect([chosen.samples.map(([, , label]) => label), chosen.leftOut]).toEqual([[4, 2], []]);
    expect((await account(members, { fields: { kept: { names: ['target.cls'], bytes: 9 } } })).leftOut).toEqual([]);
  });

  test('without the field that was chosen are named', async () => {
    const { samples, leftOut } = await account('a.jpg b.input.jpg b.cls:1', { fields: { imageField: 'input.jpg' } });
    expect(samples).toEqual([['b', 'image 1', 1]]);
    expect(leftOut).toEqual([['file without image', 'a.jpg', expect.stringContaining('has no "a.input.jpg" beside it')]]);
  });

  test('each make a sample where every image is wanted, with the label of their own name', async () => {
    const { samples, leftOut } = await account('cat.0.cls:5 cat.0.jpg cat.1.jpg cat.1.json:{} dog.jpg dog.png', { everyImage: true });
    expect(samples).toEqual([
      ['cat.0', 'image 1', 5],
      ['cat.1', 'image 2', undefined],
      ['dog', 'image 4', undefined],
      ['dog', 'image 5', undefined],
    ]);
    expect(leftOut.map(([kind, name]) => [kind, name])).toEqual([['other field', 'cat.1.json']]);
  });
});

describe('a name that comes twice', () => {
  test.each(['a.jpg a.jpg', 'a.jpg a.JPG', 'a.jpg a.cls:1 a.jpg a.cls:2', 'a.cls:1 a.jpg a.jpg', 'a.jpg a.jpg a.cls:1 a.cls:2'])(
    'side by side keeps both images and gives no label: %s',
    async (members) => {
      const found = await account(`${members} b.jpg b.cls:3`);
      const labels = members.split(' ').filter((name) => name.includes('cls'));
      expect(found.samples.map(([key, , label]) => [key, label])).toEqual([
        ['a', undefined],
        ['a', undefined],
        ['b', 3],
      ]);
      expect(new Set(found.samples.map(([, image]) => image)).size).toBe(3);
      expect(names(found)).toEqual(labels.map(() => ['repeated name', 'a.cls']));
    },
  );

  test.each([
    ['a.jpg a.jpg a.cls:1 b.jpg b.cls:3', {}],
    ['a.jpg a.png a.cls:1 b.jpg b.cls:3', { everyImage: true }],
  ])('gives no label where reading begins between the two either: %s', async (members, options) => {
    const whole = await account(members, options);
    const second = whole.all[1];
    expect(second?.key).toBe('a');
    const rest = await account(members, { ...options, ...(second && { from: second }) });
    expect(rest.samples).toEqual(whole.samples.slice(1));
    expect(rest.all).toEqual(whole.all.slice(1));
  });

  test('as a label makes the sample unlabelled', async () => {
    for (const members of ['a.jpg a.cls:1 a.cls:2', 'a.cls:1 a.cls:1 a.jpg', 'a.cls:1 a.jpg a.CLS:2']) {
      const found = await account(members);
      expect(found.samples.map(([key, , label]) => [key, label])).toEqual([['a', undefined]]);
      expect(found.leftOut.map(([kind]) => kind)).toEqual(['repeated name', 'repeated name']);
    }
  });

  test('further on is a sample of its own, and a label there is of no other image', async () => {
    const found = await account('a.jpg a.cls:1 b.jpg a.jpg b.cls:2');
    expect(found.samples).toEqual([
      ['a', 'image 0', 1],
      ['b', 'image 2', undefined],
      ['a', 'image 3', undefined],
    ]);
    expect(found.leftOut).toEqual([['file without image', 'b.cls', expect.stringMatching(/^has no image beside it; .* tar --sort=name/)]]);
  });

  test('but for its case is another name', async () => {
    const found = await account('A.jpg A.cls:1 a.jpg a.cls:2');
    expect(found.samples).toEqual([
      ['A', 'image 0', 1],
      ['a', 'image 2', 2],
    ]);
    expect(found.leftOut).toEqual([]);
  });
});

test('a shard without a sample says so', async () => {
  expect(names(await account('a.txt b'))).toEqual([
    ['file without extension', 'b'],
    ['file without image', 'a.txt'],
    ['shard without sample', undefined],
  ]);
});
