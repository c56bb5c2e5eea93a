import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import sharp from 'sharp';
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

test('detco views refuses a recipe it does not know', async () => {
  const { code, stderr } = await detco(['views', '--shards', SHARDS, '--recipe', 'detcoo', '--out', join(folder, 'none.png')]);
  expect(code).toBe(2);
  expect(stderr).toContain('--recipe "detcoo": expected detco, mocoV2, mocoV1 or simclr');
});
