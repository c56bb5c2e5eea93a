import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { writeTestShards } from '../support/shards.js';
import { tarOf } from '../support/tar.js';
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
    '--n',
    '3',
    '--global-size',
    '40',
    '--patch-size',
    '12',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${out}: 3 images, a row for each of globalQ, globalK, patchesQ, patchesK\n` });
  // The widest view is a set of three patches of 12 pixels, each shown 5 times as large, with gaps of 4: 188 pixels a column, 12 around it.
  expect(await sharp(out).metadata()).toMatchObject({ format: 'png', width: 3 * (188 + 12) + 12 });
  const { channels } = await sharp(out).stats();
  expect(Math.min(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(20);
});

test('detco views makes the folder of its picture, and tells of it in JSON', async () => {
  const out = join(folder, 'new/views.png');
  const args = ['--out', out, '--n', '2', '--global-size', '40', '--recipe', 'mocoV2', '--json'];
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
    detco(['views', '--shards', SHARDS, '--out', out, '--n', '1', '--global-size', '16', '--patch-size', '8', '--seed', seed]);
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
  const args = ['--n', '64', '--global-size', '16', '--patch-size', '16', '--out', join(folder, 'none.png')];
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [5] });
  const { code, stderr } = await detco(['views', '--shards', ...shards, ...args]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('detco: --n: 64 is more than the 5 samples of an epoch'),
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
    stderr: 'detco: --patch-size 12 with --recipe simclr, which has no patches: leave it out, or use --recipe detco or pirl\n',
  });
});

test('detco views refuses a recipe it does not know', async () => {
  const { code, stderr } = await detco(['views', '--shards', SHARDS, '--recipe', 'detcoo', '--out', join(folder, 'none.png')]);
  expect(code).toBe(2);
  expect(stderr).toContain(
    '--recipe "detcoo": did you mean "detco"? Expected one of detco, mocoV2, mocoV1, simclr, byol, rotation, jigsaw, insloc',
  );
});

const SMALL = ['--global-size', '32', '--patch-size', '8'];

test('detco views draws the one sample of a key, as training sees it in that epoch', async () => {
  const out = join(folder, 'key.png');
  const { stdout } = await detco([
    'views',
    '--shards',
    SHARDS,
    ...SMALL,
    '--n',
    '5',
    '--epoch',
    '3',
    '--seed',
    '4',
    '--out',
    out,
    '--json',
  ]);
  const all = JSON.parse(stdout) as { samples: { key: string }[]; plans: Record<string, unknown[]> };
  const key = all.samples[3]?.key ?? '';
  const args = ['--key', key, '--epoch', '3', '--seed', '4', '--out', out, '--json'];
  const one = JSON.parse((await detco(['views', '--shards', SHARDS, ...SMALL, ...args])).stdout) as typeof all;
  expect(one.samples).toEqual([all.samples[3]]);
  expect(one.plans).toEqual(Object.fromEntries(Object.entries(all.plans).map(([name, plans]) => [name, [plans[3]]])));
  const other = JSON.parse((await detco(['views', '--shards', SHARDS, ...SMALL, ...args, '--epoch', '2'])).stdout) as typeof all;
  expect(other.plans).not.toEqual(one.plans);
});

test('detco views writes the same bytes each time, on a machine without fonts too', async () => {
  const draw = async (name: string, env: NodeJS.ProcessEnv): Promise<Buffer> => {
    const out = join(folder, name);
    expect(await detco(['views', '--shards', SHARDS, ...SMALL, '--n', '2', '--out', out], { env })).toMatchObject({ code: 0 });
    return readFile(out);
  };
  const first = await draw('fonts.png', {});
  const nothing = join(folder, 'no-fonts');
  const without = await draw('without.png', { FONTCONFIG_FILE: nothing, FONTCONFIG_PATH: nothing, XDG_DATA_HOME: nothing });
  expect(without.equals(first)).toBe(true);
});

test('detco views --op draws operations over their ranges', async () => {
  const out = join(folder, 'op.png');
  const { code, stderr } = await detco(['views', '--shards', SHARDS, '--op', 'rotate', 'invert', '--global-size', '96', '--out', out]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: `${out}: rotate, invert, a row each\n` });
  expect(await sharp(out).metadata()).toMatchObject({ width: 11 * (96 + 12) + 12 });
  const { stdout } = await detco(['views', '--shards', SHARDS, '--op', 'posterize', '--key', '000017', '--out', out, '--json']);
  expect(JSON.parse(stdout)).toMatchObject({
    sample: { key: '000017', index: 17 },
    operations: { posterize: expect.arrayContaining([{ magnitude: 5, step: { op: 'posterize', bits: 2 } }]) },
  });
});

test.each([
  [['--op', 'rotate', 'roate'], 'detco: --op "roate": did you mean "rotate"? Expected one of hue, grayscale, gaussianBlur,'],
  [
    ['--op', 'rotate', '--recipe', 'detco'],
    'detco: --recipe with --op, which draws operations over ranges of their own, on one image: leave',
  ],
  [['--op', 'rotate', '--n', '2'], 'detco: --n with --op'],
  [['--key', '00017'], 'has the key "00017"; did you mean "000017" or'],
  [['--key', '000017', '--n', '2'], 'detco: --n 2 with --key 000017, which is one sample: leave one of the two out'],
  [['--epoch', '2147483647'], 'detco: --epoch "2147483647": expected a whole number, 0..2147483646; give for example --epoch 3'],
  [['--epoch', '1.5'], 'detco: --epoch "1.5": expected a whole number'],
  [['--n', '0'], 'detco: --n "0": expected a whole number, 1..64; give for example --n 8'],
  [['--index', 'no/such/folder'], 'detco: --index "no/such/folder": expected the folder of indexes that detco index has made'],
  [
    ['--recipe', 'byol', '--strength', '2'],
    'detco: --strength 2 with --recipe byol, which has no strength of its colours: leave it out, or use',
  ],
  [['--local-size', '24'], 'detco: --local-size 24 with --recipe detco, which has no local crops: leave it out, or use --recipe swav'],
  [['--recipe', 'byol', '--crops', '4'], 'detco: --crops 4 with --recipe byol, which has no local crops: leave it out, or use'],
  [['--recipe', 'swav', '--crops', '0'], 'detco: --crops "0": expected'],
  [
    ['--recipe', 'mocoV1', '--no-rand-augment'],
    'detco: --no-rand-augment with --recipe mocoV1, which has no RandAugment: leave it out, or use',
  ],
])('detco views %j is refused', async (args, message) => {
  const { code, stderr } = await detco(['views', '--shards', SHARDS, '--out', join(folder, 'none.png'), ...args]);
  expect(stderr).toContain(message);
  expect(code).toBe(2);
});

test('detco views --out of a folder is refused before any work', async () => {
  const { code, stderr } = await detco(['views', '--shards', 'no-such.tar', '--out', folder]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: `detco: --out "${folder}": expected a file, and this is a folder; add a name\n` });
});

test('detco views warns in the words of the command', async () => {
  const shard = join(folder, 'odd.tar');
  const picture = await sharp({ create: { width: 40, height: 40, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer();
  await writeFile(
    shard,
    await tarOf([
      { name: '000.jpg', body: picture },
      { name: 'notes.txt', body: 'no picture' },
    ]),
  );
  const { code, stderr } = await detco([
    'views',
    '--shards',
    shard,
    '--n',
    '1',
    '--global-size',
    '40',
    '--quiet',
    '--out',
    join(folder, 'odd.png'),
  ]);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^warning: \S*odd\.tar: 1 file without image: [^\n]*notes\.txt[^\n]*\n$/),
  });
});
