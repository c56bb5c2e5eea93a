/** `detco index` and `detco verify`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { detco } from './detco.js';

let dir: string;
let index: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-verify-cli-'));
  index = join(dir, 'index');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const SHARDS = ['--shards', 'fixtures/shards/train-00{0,1}.tar', 'fixtures/shards/val-000.tar'];
const HARDWARE = 'JPEGs that hardware decoders of GPUs take, by their headers';

test('index, then verify against it', async () => {
  const indexed = await detco(['index', ...SHARDS, '--out', index]);
  expect(indexed.code).toBe(0);
  expect(indexed.stdout).toContain(`1056 samples in 3 shards, 4.4 MB; index in ${index}\nlabels: 24 classes, 0..23\n`);
  expect(indexed.stdout).toContain('uneven: 2 shards below nine tenths of the largest');
  expect(indexed.stdout).toMatch(
    /shuffle \(16 lanes, buffer of 64\): a batch of 256 comes from 3\.0 shards, 3\.0 if all samples were permuted/,
  );
  expect(indexed.stdout).not.toContain('sorted');
  const again = await detco(['index', ...SHARDS, '--out', index, '--json']);
  expect(JSON.parse(again.stdout)).toMatchObject({ out: index, shards: 3, kept: 3, samples: 1056, failed: [] });

  const verified = await detco(['verify', '--shards', 'fixtures/shards/train-00{0,1}.tar', '--index', index]);
  expect(verified).toMatchObject({
    code: 0,
    stdout: `624 samples in 2 shards, 2.6 MB, decoded\nlabels: 24 classes, 0..23\n${HARDWARE}: 624 of 624 images\nno problems\n`,
  });
});

test('problems are listed and end with 1', async () => {
  const cut = resolve('fixtures/odd/cut.tar');
  const odd = resolve('fixtures/odd/odd.tar');
  const { code, stdout } = await detco(['verify', '--shards', 'fixtures/odd/{cut,odd}.tar']);
  expect(code).toBe(1);
  expect(stdout).toContain(`${cut} (byte 2348): ends at byte 2348 in the middle of the archive`);
  expect(stdout).toContain(`${odd} ("h-truncated", byte 12800): cannot be decoded: `);
  expect(stdout).toContain(`\n${HARDWARE}: 7 of 10 images; 1 of four components; 1 progressive; 1 not JPEG\n`);
  expect(stdout).toMatch(/\n5 problems: 1 archive, 3 images, 1 file without image\n$/);
  const json = await detco(['verify', '--shards', 'fixtures/odd/{cut,odd}.tar', '--no-decode', '--json']);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({
    shards: 2,
    problems: [
      { kind: 'archive', shard: cut },
      { kind: 'image', key: 'i-empty' },
      { kind: 'file without image', member: 'README.txt', offset: 17920 },
    ],
  });
  const failed = await detco(['index', '--shards', 'fixtures/odd/cut.tar', '--out', index]);
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining(`cannot be read: ${cut}: ends at byte 2348`) });
});

test('a training set and its validation set may number their samples alike', async () => {
  const verified = await detco(['verify', ...SHARDS, '--no-decode']);
  expect(verified).toMatchObject({
    code: 0,
    stdout: `1056 samples in 3 shards, 4.4 MB\nlabels: 24 classes, 0..23\n${HARDWARE}: 1056 of 1056 images\nno problems\n`,
  });
});

test('of many problems of a kind the first are listed and the further ones counted; --json has all', async () => {
  const args = ['verify', '--shards', 'fixtures/shards/val-000.tar', '--no-decode', '--classes', '1'];
  const { code, stdout } = await detco(args);
  expect(code).toBe(1);
  const lines = stdout.trimEnd().split('\n');
  const count = 432 - 432 / 24;
  expect(lines.slice(10)).toEqual([
    `and ${count - 10} more labels; --json has them all`,
    expect.stringMatching(/^432 samples in 1 shard/),
    'labels: 24 classes, 0..23',
    `${HARDWARE}: 432 of 432 images`,
    `${count} problems: ${count} labels`,
  ]);
  const { problems } = JSON.parse((await detco([...args, '--json'])).stdout) as { problems: object[] };
  expect(problems).toHaveLength(count);
});

test('fields and a file of class names are chosen by options of verify and index alike', async () => {
  const pairs = ['--shards', 'fixtures/archives/two-images.tar'];
  expect(await detco(['verify', ...pairs])).toMatchObject({ code: 1, stdout: expect.stringContaining('--image-field input.jpg') });
  expect(await detco(['verify', ...pairs, '--image-field', 'input.jpg'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('no problems'),
  });
  const names = join(dir, 'names.txt');
  await writeFile(names, ['n01440760', 'n01440761', 'n01440762', 'n01440763', 'n01440764', 'n01440765', ''].join('\n'));
  const labels = ['--shards', 'fixtures/archives/text-labels.tar'];
  const counted = await detco(['index', ...labels, '--out', join(dir, 'text')]);
  expect(counted).toMatchObject({ code: 0, stdout: expect.stringContaining('left out: 6 unusable labels; detco verify tells more') });
  const named = await detco(['verify', ...labels, '--classes-file', names]);
  expect(named).toMatchObject({ code: 0, stdout: expect.stringContaining('labels: 6 classes, 0..5') });
  await writeFile(names, 'cat\ndog\ncat\n');
  const twice = await detco(['verify', ...labels, '--classes-file', names]);
  expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining(`--classes-file "${names}": line 3 "cat" is line 1 as well`) });
  const none = await detco(['verify', ...labels, '--classes-file', join(dir, 'none')]);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('expected a file with one class name on each line') });
});

test.each([
  [['verify'], "required option '--shards <spec...>' not specified"],
  [['verify', ...SHARDS, '--classes', 'many'], '--classes "many": expected a whole number'],
  [['index', ...SHARDS], "required option '--out <dir>' not specified"],
  [['index', ...SHARDS, '--out', 'x', '--workers', '0'], '--workers "0": expected a whole number'],
])('%j cannot be used', async (args, message) => {
  const { code, stderr } = await detco(args);
  expect(stderr).toContain(message);
  expect(code).toBe(2);
});

test.each(['verify', 'index', 'views', 'profile'])('%s of shards that are not there ends with 2', async (command) => {
  const place = { verify: [], index: ['--out', index], views: ['--out', `${index}.png`], profile: [] }[command] ?? [];
  const { code, stderr } = await detco([command, '--shards', 'fixtures/none-{0..3}.tar', ...place]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('none-0.tar: matches no shard') });
});
