/**
 * `detco train --log tensorboard`: TensorBoard's two readers serve the same points, those of `metrics.jsonl`, of runs that were killed and
 * resumed, while they are written too. Real processes, TensorBoard itself.
 */
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { taggedNumbers } from '#dist/train/log/tags.js';
import type { StepMetrics } from '#dist/train/metrics.js';
import sharp from 'sharp';
import { until } from '../support/bytes.js';
import { metricsLines } from '../support/metrics.js';
import { writeTestShards } from '../support/shards.js';
import { noTensorBoard, type Point, startTensorBoard, type TensorBoard } from '../support/tensorboard.js';
import { detco, detcoUntil } from './detco.js';

jest.setTimeout(100_000);

/** 24 samples: three steps an epoch, at the end of which is a checkpoint and an evaluation. */
const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 4
lr: 0.1
method: { width: 4, dim: 8, queueSize: 24, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
keepCheckpoints: 9
lanes: 2
shuffle: 8
evaluate: [knn, rank, linear]
evalEvery: 1
knn: { bank: 8, queries: 8 }
`;

interface Line {
  readonly step: number;
  readonly timeMs: number;
  readonly loss?: number;
}

/** A reader looks for news each second. */
const LATEST_MS = 30_000;
const LOSS = 'loss';
const KNN = 'evaluation/knnTop1';

let folder = '';
let options: string[] = [];
/** A run that is killed after the line of step 5; its newest checkpoint is of step 3. */
let killed = '';

/** What TensorBoard calls a run. */
const shown = (run: string) => `${run}/tensorboard`;
const at = (run: string) => join(folder, 'runs', run);

async function succeed(args: readonly string[]): Promise<string> {
  const { code, stderr } = await detco(['train', ...args]);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stderr;
}

/** Points of a tag, as the lines of `metrics.jsonl` have them. */
async function expected(run: string, tag: string): Promise<Point[]> {
  const [, evaluation, name = ''] = /^(evaluation\/)?(.*)$/.exec(tag) ?? [];
  const valueOf = (line: object): number | undefined =>
    name.split('/').reduce<unknown>((outer, key) => Reflect.get(Object(outer) as object, key), line) as number | undefined;
  return (await metricsLines<Line>(at(run))).flatMap((line) => {
    const value = ('loss' in line ? undefined : 'evaluation/') === evaluation ? valueOf(line) : undefined;
    return value === undefined ? [] : [{ timeMs: line.timeMs, step: line.step, value: Math.fround(value) }];
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-tensorboard-'));
  await writeFile(join(folder, 'config.yaml'), CONFIG);
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [12, 12] });
  options = ['--config', join(folder, 'config.yaml'), '--shards', ...shards, '--val-shards', ...shards];
  killed = at('killed');
  const lines = join(killed, 'metrics.jsonl');
  // A checkpoint of step 3 and none of step 6, and lines beyond it.
  const beyond = () =>
    existsSync(join(killed, 'checkpoints', 'step-3', 'state.json')) && /"step":4,.*\n.*"step":5,/.test(readFileSync(lines, 'utf8'));
  await detcoUntil(['train', ...options, '--out', killed, '--log', 'tensorboard'], beyond, 'SIGKILL');
  for (const name of ['back', 'late']) await cp(killed, at(name), { recursive: true, verbatimSymlinks: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('of a run that was killed', () => {
  const readers = noTensorBoard === '' ? ['default', 'python'] : [];
  let boards: TensorBoard[] = [];

  beforeAll(async () => {
    boards = await Promise.all(readers.map((reader) => startTensorBoard(join(folder, 'runs'), reader === 'default')));
  });
  afterAll(() => Promise.all(boards.map((board) => board.close())));

  const where = noTensorBoard === '' ? test : test.skip;

  /** Both readers come to serve the points of a run's lines, of each of its tags. */
  async function expectShown(run: string): Promise<void> {
    const tags = [...new Set((await metricsLines<Line>(at(run))).flatMap((line) => Object.keys(taggedNumbers(line as StepMetrics))))];
    expect(tags).toEqual(expect.arrayContaining([LOSS, KNN, 'terms/gg.res4', 'lr', 'probeTop1', 'evaluation/probeTop1', 'epoch']));
    const wanted = new Map(await Promise.all(tags.toSorted().map(async (tag) => [tag, await expected(run, tag)] as const)));
    for (const board of boards) {
      const shownNow = async () =>
        new Map(await Promise.all((await board.tags(shown(run))).map(async (tag) => [tag, await board.points(shown(run), tag)] as const)));
      const deadline = Date.now() + LATEST_MS;
      await until(async () => isDeepStrictEqual(await shownNow(), wanted) || Date.now() > deadline);
      expect(await shownNow()).toEqual(wanted);
    }
  }

  where(`both readers follow it while it goes on${noTensorBoard}`, async () => {
    await Promise.all(boards.map((board) => until(async () => (await board.points(shown('killed'), LOSS)).length >= 4)));
    const ended = new AbortController();
    const resumed = succeed(['--resume', killed]).finally(() => ended.abort());
    // No step is there twice, none is missing, and the curve grows while the run goes on.
    const lengths = await Promise.all(
      boards.map(async (board) => {
        const seen = new Set<number>();
        while (!ended.signal.aborted) {
          const steps = (await board.points(shown('killed'), LOSS)).map(({ step }) => step);
          expect(steps).toEqual(steps.map((_step, i) => i + 1));
          seen.add(steps.length);
        }
        return seen.size;
      }),
    );
    await resumed;
    expect(Math.min(...lengths)).toBeGreaterThan(1);
    await expectShown('killed');
    expect((await expected('killed', LOSS)).map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    // The views of an epoch come with one of its first updates.
    for (const board of boards) {
      const { steps, last } = await board.pictures(shown('killed'), 'views');
      expect(steps.length).toBeGreaterThan(1);
      const { width = 0, height = 0 } = await sharp(last).metadata();
      // Eight samples of three patches of 8 pixels side by side; two rows of images of 16 pixels and two of patch sets.
      expect([width, height]).toEqual([8 * 3 * (8 + 4), 2 * (16 + 4) + 2 * 3 * (8 + 4)]);
    }
    expect((await expected('killed', KNN)).map(({ step }) => step)).toEqual([0, 3, 6, 9, 12]);
  });

  where(`a reader that comes later shows the same${noTensorBoard}`, async () => {
    await cp(killed, at('copy'), { recursive: true, verbatimSymlinks: true });
    await expectShown('copy');
  });

  where(`a run that goes back shows what it made again${noTensorBoard}`, async () => {
    await succeed(['--resume', join(at('back'), 'checkpoints', 'step-0'), '--steps', '2']);
    await cp(at('back'), at('back-copy'), { recursive: true, verbatimSymlinks: true });
    for (const run of ['back', 'back-copy']) await expectShown(run);
  });

  where(`a run that did not log before shows its lines so far${noTensorBoard}`, async () => {
    await rm(join(at('late'), 'tensorboard'), { recursive: true });
    await succeed(['--resume', at('late'), '--steps', '7']);
    await expectShown('late');
    expect((await readdir(join(at('late'), 'tensorboard'))).length).toBe(2);
  });
});

test('goes on without event files where they cannot be', async () => {
  const run = at('blocked');
  await mkdir(run, { recursive: true });
  await writeFile(join(run, 'tensorboard'), '');
  const said = await succeed([...options, '--out', run, '--steps', '1', '--log', 'tensorboard']);
  expect(said).toContain(`warning: ${join(run, 'tensorboard')} cannot be written (EEXIST`);
  expect(said).toContain('the run goes on without it; metrics.jsonl has its numbers');
  expect(await metricsLines(run)).toHaveLength(3);
});

test.each([
  [
    'wandb',
    'there is no logger for wandb: give tensorboard, or send it the lines of metrics.jsonl by its Python package, as docs/metrics.md shows',
  ],
  ['tensorbord', 'did you mean "tensorboard"? Expected one of tensorboard, none'],
])('--log %s says what there is', async (name, words) => {
  const { code, stderr } = await detco(['train', ...options, '--log', `tensorboard,${name}`, '--out', at('none')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(words) });
  expect(stderr).toContain(`log = "tensorboard,${name}"`);
  expect(existsSync(at('none'))).toBe(false);
});
