/** Names and texts that others chose (keys, shards, labels, targets of links) reach the terminal as text only, whatever is said of them. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPipeline, recipes } from '#dist/pipeline/index.js';
import { tarOf } from '../support/tar.js';
import { detco } from './detco.js';

/** Clears the screen in two ways, reverses what follows, ends a line. */
const NASTY = '\u001b[2J\u009b2J\u202e\u007f\nx';
const SHOWN = '\\u001b[2J\\u009b2J\\u202e\\u007f\\u000ax';
/** All controls but the line ends of our own. */
const OBEYED = /[^\P{Cc}\n]|[\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

const TRAIN = 'train --preset tiny --engine wasm --batch 2 --queue-size 16 --epochs 1 --steps 1'.split(' ');

let dir: string;
let shard: string;
let bad: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-foreign-'));
  const jpeg = await readFile('fixtures/odd/files/a-plain.jpg');
  shard = join(dir, `shard${NASTY}.tar`);
  bad = join(dir, `bad${NASTY}.tar`);
  await writeFile(
    shard,
    await tarOf([
      { name: `a${NASTY}.jpg`, body: jpeg },
      { name: `a${NASTY}.cls`, body: `label${NASTY}` },
      { name: `b${NASTY}.${NASTY}.jpg`, body: jpeg },
      { name: `b${NASTY}.other.png`, body: jpeg },
      { name: `c${NASTY}.jpg`, body: 'no image' },
      { name: `d${NASTY}.txt`, body: 'no image' },
      { name: `e${NASTY}.jpg`, type: 'symlink' },
      { name: `f${NASTY}.jpg`, body: jpeg },
    ]),
  );
  await writeFile(bad, 'not a tar');
});
afterAll(() => rm(dir, { recursive: true }));

test.each([
  ['verify', () => ['verify', '--shards', shard, bad, join(dir, `none${NASTY}.tar`)]],
  ['verify', () => ['verify', '--shards', shard, bad]],
  ['verify --json', () => ['verify', '--shards', shard, bad, '--json']],
  ['index', () => ['index', '--shards', shard, bad, '--out', join(dir, `index${NASTY}`)]],
  ['index --json', () => ['index', '--shards', shard, bad, '--out', join(dir, 'index'), '--json']],
  ['shard', () => ['shard', shard, '--out', join(dir, `made${NASTY}`), '--no-shuffle']],
  ['shard of no archive', () => ['shard', bad, '--out', join(dir, 'made')]],
  [
    'views',
    () => ['views', '--shards', shard, '--n', '2', '--global-size', '16', '--patch-size', '8', '--out', join(dir, `v${NASTY}.png`)],
  ],
  ['views --json', () => ['views', '--shards', shard, '--n', '2', '--out', join(dir, 'v.png'), '--json']],
  ['train', () => [...TRAIN, '--shards', shard, '--val-shards', shard, '--out', join(dir, `run${NASTY}`)]],
  ['train over what is no shard', () => [...TRAIN, '--shards', bad, '--out', join(dir, `other${NASTY}`)]],
  ['an unknown flag', () => ['verify', '--shards', shard, `--${NASTY}`]],
  ['a flag of no use', () => ['verify', '--shards', shard, '--workers', NASTY]],
])('detco %s shows what a terminal would obey', async (_what, args) => {
  const { stdout, stderr } = await detco(args());
  expect(stdout).not.toMatch(OBEYED);
  expect(stderr).not.toMatch(OBEYED);
  expect(stdout + stderr).toContain(SHOWN.split('\\u000a')[0]);
});

test('so do the errors of a pipeline, and its keys are as they are', async () => {
  const options = {
    shards: shard,
    recipe: recipes.mocoV2({ globalSize: 16 }),
    batchSize: 2,
    shuffle: false,
    lanes: 1,
    onLeftOut: () => {},
  };
  for await (const { samples } of await createPipeline({ ...options, maxBadSamples: 2 })) {
    expect(samples).toMatchObject([
      { shard, key: `a${NASTY}` },
      { shard, key: `f${NASTY}` },
    ]);
  }
  const failing = [{ onBadSample: 'fail' as const }, { maxBadSamples: 0 }, { shards: bad }, { shards: join(dir, `none${NASTY}`) }];
  for (const more of failing) {
    const run = async (): Promise<void> => {
      for await (const _batch of await createPipeline({ ...options, ...more }));
    };
    const { message } = await run().then(
      () => new Error('it came to its end'),
      (error: Error) => error,
    );
    expect(message).not.toMatch(/\p{Cc}|\u202e/u);
    expect(message).toContain(SHOWN);
  }
});
