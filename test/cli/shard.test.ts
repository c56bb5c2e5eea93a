import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FIXTURE, fixtureSamples, writeImageFolder } from '../support/images.js';
import { END, rawMember } from '../support/raw-tar.js';
import { growDisk, mayMount, mountDisk, unmountDisk } from '../support/small-disk.js';
import { detco, detcoUntil } from './detco.js';

jest.setTimeout(120_000);

let root: string;
let folder: string;
let out: string;
let runs = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'detco-shard-cli-'));
  folder = join(root, 'images');
  await writeImageFolder(folder, await fixtureSamples(432));
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(() => {
  out = join(root, `out-${runs++}`);
});

/** Name and content of each file. */
async function content(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir)).toSorted();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await readFile(join(dir, name))).toString('base64')])));
}

const options = ['--per-shard', '20', '--resize-short', '64', '--workers', '1'];

test('prints where the images are, or one object', async () => {
  const { code, stdout } = await detco(['shard', folder, '--out', out, ...options]);
  expect({ code, stdout }).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^432 images in .*\/train-\{000000\.\.000021\}\.tar: \d+\.\d MB, 24 classes \(classes.txt\), 432 made smaller\n$/,
    ),
  });
  const again = await detco(['shard', folder, '--out', out, ...options, '--json']);
  expect(JSON.parse(again.stdout)).toMatchObject({ out, images: 432, shards: 22, kept: 22, bad: 0, pattern: 'train-{000000..000021}.tar' });
});

test('warns when more than one image in a hundred is bad', async () => {
  const { code, stderr } = await detco(['shard', 'fixtures/odd/files', '--out', out]);
  expect(code).toBe(0);
  expect(stderr).toContain(`warning: 30.0 % of the images are bad; check the source. 3 bad images left out: ${out}/bad-samples.jsonl`);
});

test('of images beside class folders, says that they have no class', async () => {
  const mixed = join(root, 'beside');
  await mkdir(join(mixed, 'thumbs'), { recursive: true });
  for (const name of ['b.jpg', 'a.jpg', 'thumbs/c.jpg']) await copyFile('fixtures/odd/files/a-plain.jpg', join(mixed, name));
  const { code, stderr } = await detco(['shard', mixed, '--out', out]);
  expect(code).toBe(0);
  expect(stderr).toContain(`2 images left out, the first "${join(mixed, 'a.jpg')}": they lie beside the class folders`);
  expect(stderr).not.toContain('not named');
  await rm(join(mixed, 'thumbs/c.jpg'));
  const none = await detco(['shard', mixed, '--out', `${out}-none`]);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain(`has no image in its class folders: 2 images left out, the first "${join(mixed, 'a.jpg')}"`);
});

test('of labels that are text, tells what they are to be, and of no flag that it has not', async () => {
  const archive = join(root, 'text-labels.tar');
  const image = await readFile('fixtures/odd/files/a-plain.jpg');
  await writeFile(archive, Buffer.concat([rawMember({ name: 'a.jpg', body: image }), rawMember({ name: 'a.cls', body: 'cat' }), END]));
  const { code, stderr } = await detco(['shard', archive, '--out', out]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/left out: 1 unusable label, such as "a\.cls" .* holds the label "cat"; expected a whole number\n/);
});

test('killed again and again, it goes on and ends with the same bytes', async () => {
  const command = ['shard', folder, '--out', out, ...options];
  for (const shard of ['000001', '000005', '000012']) {
    const { signal } = await detcoUntil(command, () => existsSync(join(out, `train-${shard}.tar`)), 'SIGKILL');
    expect(signal).toBe('SIGKILL');
  }
  expect((await readdir(out)).filter((name) => name.endsWith('.tar')).length).toBeLessThan(22);
  const { code, stdout } = await detco([...command, '--json']);
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as { kept: number }).kept).toBeGreaterThanOrEqual(12);
  const whole = `${out}-whole`;
  await detco(['shard', folder, '--out', whole, ...options]);
  expect(await content(out)).toEqual(await content(whole));
});

test('options of which no image came are not in the way of better ones', async () => {
  const source = join(out, '..', 'no-images');
  await mkdir(source, { recursive: true });
  await writeFile(join(source, 'broken.jpg'), 'no image');
  const none = await detco(['shard', source, '--out', out]);
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('no image of 1 in ') });
  const { code, stdout } = await detco(['shard', folder, '--out', out, ...options, '--json']);
  expect({ code, report: JSON.parse(stdout) as unknown }).toMatchObject({ code: 0, report: { images: 432, kept: 0 } });
  const other = await detco(['shard', folder, '--out', out, ...options, '--no-shuffle']);
  expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('holds shards begun with other options') });
});

test('Ctrl-C removes the unfinished shard and says how to go on', async () => {
  const command = ['shard', folder, '--out', out, ...options];
  const { code, stderr } = await detcoUntil(command, () => existsSync(join(out, 'train-000002.tar')), 'SIGINT');
  expect({ code, stderr }).toMatchObject({
    code: 130,
    stderr: expect.stringContaining('interrupted; give the same command again to go on'),
  });
  expect((await readdir(out)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

describe('cannot be used', () => {
  test.each<[string[], string]>([
    [['--per-shard', '0'], '--per-shard "0": expected a whole number'],
    [['--resize-short', 'small'], '--resize-short "small": expected a whole number'],
    [['--quality', '80'], '--quality "80": nothing is encoded without --resize-short'],
    [['--seed', '1', '--no-shuffle'], '--seed "1": nothing is drawn with --no-shuffle'],
    [['--prefix', 'a/b'], '--prefix "a/b": expected letters'],
  ])('%j', async (args, message) => {
    const { code, stderr } = await detco(['shard', folder, '--out', out, ...args]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(existsSync(out)).toBe(false);
  });

  test('a source that is not there, a folder with other shards', async () => {
    const missing = await detco(['shard', join(root, 'none'), '--out', out]);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('there is nothing of that name') });
    const taken = await detco(['shard', folder, '--out', 'fixtures/shards']);
    expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining('train-000.tar" exists already') });
  });
});

(mayMount() ? test.each : test.skip.each)(['a folder', 'an archive'])(
  'says so when the disk is full, and goes on when there is space: %s',
  async (what) => {
    await mkdir(out);
    mountDisk(out, '300k');
    try {
      const command = ['shard', what === 'a folder' ? folder : FIXTURE, '--out', out, ...options];
      const full = await detco(command);
      const remedy = `no space left in "${out}"; free some and give the same command again`;
      expect(full).toMatchObject({ code: 1, stderr: expect.stringContaining(remedy) });
      growDisk(out, '8m');
      const again = await detco([...command, '--json']);
      expect(again.code).toBe(0);
      const report = JSON.parse(again.stdout) as { images: number; shards: number; kept: number };
      expect(report).toMatchObject({ images: 432, shards: 22 });
      expect(report.kept > 0).toBe(what === 'a folder');
      expect((await readdir(out)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    } finally {
      unmountDisk(out);
    }
  },
);
