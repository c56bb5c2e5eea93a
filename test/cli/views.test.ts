import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { writeTestShards } from '../support/shards.js';
import { detco } from './detco.js';

const SHARDS = 'fixtures/shards/val-000.tar';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-views-'));
});

afterAll(() => rm(folder, { recursive: true }));

test('detco views draws a column an image and a row a view', async () => {
  const out = join(folder, 'views.png');
  const { code, stderr } = await detco([
    'views',
    '--shards',
    SHARDS,
    '--out',
    out,
    '--count',
    '3',
    '--global-size',
    '40',
    '--patch-size',
    '12',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${out}: 3 images, a row for each of globalQ, globalK, patchesQ, patchesK\n` });
  // The widest view is a set of three patches of 12 pixels with gaps of 4: 52 pixels.
  expect(await sharp(out).metadata()).toMatchObject({ format: 'png', width: 3 * 52, height: 4 * 52 });
  const { channels } = await sharp(out).stats();
  expect(Math.min(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(20);
});

test('detco views makes the folder of its picture, and tells of it in JSON', async () => {
  const out = join(folder, 'new/views.png');
  const args = ['--out', out, '--count', '2', '--global-size', '40', '--recipe', 'mocoV2', '--json'];
  const { code, stdout, stderr } = await detco(['views', '--shards', SHARDS, ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual({
    out,
    samples: [
      expect.objectContaining({ key: expect.any(String) }),
      expect.objectContaining({ shard: expect.stringContaining('val-000.tar') }),
    ],
    views: { globalQ: [40, 40, 3], globalK: [40, 40, 3] },
    plans: {
      globalQ: Array.from({ length: 2 }, () => expect.objectContaining({ image: { width: 96, height: 96 }, flipped: expect.any(Boolean) })),
      globalK: expect.arrayContaining([expect.objectContaining({ box: expect.objectContaining({ width: expect.any(Number) }) })]),
    },
  });
  expect(await sharp(out).metadata()).toMatchObject({ format: 'png' });
});

test('detco views takes the place of a picture, and of nothing else', async () => {
  const draw = (out: string, seed: string) =>
    detco(['views', '--shards', SHARDS, '--out', out, '--count', '1', '--global-size', '16', '--patch-size', '8', '--seed', seed]);
  const out = join(folder, 'twice.png');
  await draw(out, '0');
  const first = await readFile(out);
  expect(await draw(out, '1')).toMatchObject({ code: 0 });
  expect((await readFile(out)).equals(first)).toBe(false);
  const names = join(folder, 'classes.txt');
  await writeFile(names, 'cat\ndog\n');
  expect(await draw(names, '0')).toMatchObject({
    code: 2,
    stderr: `detco: --out "${names}": this file is there and no PNG: a result takes the place of an earlier one alone; choose another file, or move it away\n`,
  });
  expect(await readFile(names, 'utf8')).toBe('cat\ndog\n');
});

test('detco views refuses more images than there are', async () => {
  const args = ['--count', '64', '--global-size', '16', '--patch-size', '16', '--out', join(folder, 'none.png')];
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [5] });
  const { code, stderr } = await detco(['views', '--shards', ...shards, ...args]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('detco: --count: 64 is more than the 5 samples of an epoch'),
  });
});

test.each([['views'], ['profile', '--seconds', '0.1']])(
  'detco %s has the flag that it names where images are too large',
  async (...command) => {
    const small = ['--global-size', '16', '--patch-size', '16', ...(command[0] === 'views' ? ['--out', join(folder, 'large.png')] : [])];
    const limited = (pixels: number) => detco([...command, '--shards', SHARDS, ...small, '--max-pixels', String(pixels)]);
    const { code, stderr } = await limited(96 * 96 - 1);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('raise maxPixels (--max-pixels)') });
    expect(await limited(96 * 96)).toMatchObject({ code: 0 });
  },
);

test('detco views refuses a size of patches that its recipe does not make, and names the recipe that does', async () => {
  const args = ['--recipe', 'simclr', '--patch-size', '12', '--out', join(folder, 'none.png')];
  const { code, stderr } = await detco(['views', '--shards', SHARDS, ...args]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'detco: --patch-size 12 with --recipe simclr, which has no patches: leave it out, or use --recipe detco\n',
  });
});

test('detco views refuses a recipe it does not know', async () => {
  const { code, stderr } = await detco(['views', '--shards', SHARDS, '--recipe', 'detcoo', '--out', join(folder, 'none.png')]);
  expect(code).toBe(2);
  expect(stderr).toContain('--recipe "detcoo": did you mean "detco"? Expected one of detco, mocoV2, mocoV1, simclr, byol');
});
