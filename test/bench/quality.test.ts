/** The numbers of bench:quality, and a whole comparison in small. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { type Method, METHOD_NAMES } from '#dist/model/index.js';
import { indexShards } from '#dist/pipeline/shard/index-shards.js';
import { listShards } from '#dist/pipeline/source/index.js';
import type { TrainConfig } from '#dist/train/index.js';
import { type Difference, load } from './load.js';

interface Run {
  readonly arm: string;
  readonly updates: number;
}

/** A learning rate, and what kNN made of it. */
interface Tried {
  readonly rate: number;
  readonly knn: number;
}

const script = new URL('../../bench/quality.mjs', import.meta.url).pathname;

const { pairedDifference, pairsToDecide } = await load<{
  pairedDifference(values: readonly number[], others: readonly number[]): Difference;
  pairsToDecide(differences: readonly number[]): number;
}>('statistics');
const { ARMS, configOf } = await load<{
  ARMS: Readonly<Record<string, { readonly title: string; readonly preset: string }>>;
  configOf(arm: string, settings: object, data: object): TrainConfig;
}>('arms');
const { trainArm } = await load<{
  trainArm(
    engine: Engine,
    config: TrainConfig,
    run: { readonly images: number; readonly updates: number },
  ): Promise<{ readonly method: Method; readonly losses: readonly number[]; readonly updateSeconds: number }>;
}>('train');
const { best, rateBeyond } = await load<{
  best(tried: readonly Tried[]): Tried | undefined;
  rateBeyond(tried: readonly Tried[]): number[];
}>('rates');
const { FULL } = await load<{ FULL: object }>('settings');
const { claimed, inWords } = await load<{
  claimed(summary: object): { readonly text: string; readonly verdict: string }[];
  inWords(claims: object): string[];
}>('claims');

/** Of an arm as the comparison has it. */
function configured(arm: string, more: object = {}): TrainConfig {
  const data = { shards: ['fixtures/shards/val-000.tar'], rate: 0.1, seed: 1, updates: 2, engine: 'wasm' };
  return configOf(arm, { ...FULL, batch: 8, ...more }, data);
}

test('every method is an arm, and all arms have the network, the batch and the sizes of views of the baseline', () => {
  const methods = Object.keys(ARMS).map((arm) => configured(arm).method.name);
  expect(new Set(methods)).toEqual(new Set(METHOD_NAMES));
  for (const arm of Object.keys(ARMS)) {
    const { batch, lr, method, recipe } = configured(arm);
    expect({ arm, batch, lr, method, recipe }).toMatchObject({
      arm,
      batch: 8,
      lr: 0.1,
      method: { arch: 'resnet18', width: 16, stem: 'imagenet' },
      // Whole cells of 32 pixels, where each is predicted.
      recipe: { globalSize: arm === 'colorization' || arm === 'inpainting' ? 64 : 48 },
    });
  }
});

test('queues and levels are varied where a method has them, but for a part of DetCo that has its own', () => {
  const varied = (arm: string) => configured(arm, { queueSize: 128, levels: { res4: 1, res5: 2 } }).method;
  expect(varied('detco')).toMatchObject({ queueSize: 128, levels: { res4: 1, res5: 2 } });
  expect(varied('global-local')).toMatchObject({ queueSize: 128, levels: { res5: 1 } });
  expect(varied('densecl')).toMatchObject({ queueSize: 128 });
  expect(varied('simclr')).not.toHaveProperty('queueSize');
});

describe('an arm', () => {
  let index: string;
  let engine: Engine;
  beforeAll(async () => {
    index = await mkdtemp(join(tmpdir(), 'detco-quality-index-'));
    engine = await selectEngine('auto');
    const { shards, batch } = configured('moco');
    await indexShards(await listShards(shards), { dir: index, workers: 1, batchSize: batch });
  });
  afterAll(async () => {
    await engine.dispose();
    await rm(index, { recursive: true });
  });

  test.each(METHOD_NAMES)('%s trains', async (arm) => {
    const config = { ...configured(arm), method: configured(arm, { queueSize: 32 }).method, indexDir: index };
    const { method, losses, updateSeconds } = await trainArm(engine, config, { images: 48, updates: 2 });
    method.dispose();
    expect(losses).toHaveLength(2);
    for (const loss of losses) expect(loss).toBeGreaterThan(0);
    expect(updateSeconds).toBeGreaterThan(0);
  });
});

test('where the best rate is the lowest or the highest that was tried, the next beyond it is to be tried', () => {
  const tried = (...knn: number[]): Tried[] => knn.map((score, at) => ({ rate: [0.08, 0.24, 0.72][at] ?? Number.NaN, knn: score }));
  expect(rateBeyond(tried(0.3, 0.2, 0.1))).toEqual([0.027]);
  expect(rateBeyond(tried(0.1, 0.2, 0.3))).toEqual([2.2]);
  expect(rateBeyond(tried(0.1, 0.3, 0.2))).toEqual([]);
  expect(rateBeyond([{ rate: 0.027, knn: 0.4 }, ...tried(0.3, 0.2, 0.1)])).toEqual([0.0091]);
  expect(rateBeyond(tried(0.3))).toEqual([]);
  expect(best(tried(0.2, 0.3, 0.3))).toEqual({ rate: 0.24, knn: 0.3 });
  expect(best([])).toBeUndefined();
});

test('the paired interval is that of a paired t test', () => {
  // scipy.stats.ttest_rel([.52, .55, .61], [.50, .51, .52]).confidence_interval()
  const { mean, interval } = pairedDifference([0.52, 0.55, 0.61], [0.5, 0.51, 0.52]);
  expect(mean).toBeCloseTo(0.05, 12);
  expect(interval[0]).toBeCloseTo(-0.03956, 4);
  expect(interval[1]).toBeCloseTo(0.13956, 4);
  expect(pairedDifference([1], [0])).toEqual({ mean: 1 });
});

test('so many pairs as it says decide a difference whose mean and deviation stay', () => {
  // Mean 1 and deviation 2: 2.1 x 2 / sqrt(n) is below 1 from 18 on. scipy.stats.t.ppf(.975, 17) is 2.110.
  expect(pairsToDecide([-1, 1, 3])).toBe(18);
  expect(pairsToDecide([1, -1, -3])).toBe(18);
});

test('says that the ordering was reproduced only where every interval is on its side', () => {
  const numbers = (linear: Difference, ap50: Difference) => ({
    detco: { 'linear.res5': { toBaseline: linear }, 'cells.res4': { toBaseline: linear }, ap50: { toBaseline: ap50 } },
  });
  const [above, below, either] = [[0.01, 0.03] as const, [-0.03, -0.01] as const, [-0.01, 0.03] as const].map((interval) => ({
    mean: 0,
    interval,
  })) as [Difference, Difference, Difference];
  expect(inWords(claimed(numbers(above, above)))[0]).toMatch(/was reproduced/);
  expect(inWords(claimed(numbers(above, either)))[0]).toMatch(/was not shown \(of 3 statements 2 seen/);
  expect(inWords(claimed(numbers(above, below)))[0]).toMatch(/was not reproduced \(of 3 statements 2 seen, 1 the other way round/);
});

test('a comparison leaves a page, a plot and its raw numbers, and goes on where it was', async () => {
  const work = await mkdtemp(join(tmpdir(), 'detco-quality-'));
  const small = [
    '--quick',
    '--seconds',
    '--json',
    '--work',
    work,
    '--arms',
    'moco,detco',
    '--seeds',
    '1',
    '--updates',
    '6',
    '--images',
    '64',
  ];
  const compare = async (...more: string[]) => await promisify(execFile)(process.execPath, [script, ...small, ...more]);
  try {
    const first = await compare();
    const report = JSON.parse(first.stdout) as { summary: Record<string, Record<string, { mean: number }>>; colour: number; runs: Run[] };
    expect(Object.keys(report.summary)).toEqual(['moco', 'detco']);
    for (const name of ['knn.res2', 'linear.res5', 'cells.res3', 'ap50']) {
      const value = report.summary['detco']?.[name]?.mean;
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    const [ofMoco, ofDetco] = ['moco', 'detco'].map((arm) => report.runs.find((run) => run.arm === arm)?.updates ?? Number.NaN);
    expect(ofMoco).toBe(6);
    // Its update costs about twice as much.
    expect(ofDetco).toBeGreaterThan(0);
    expect(ofDetco).toBeLessThan(6);
    expect(await readFile(join(work, 'quality.md'), 'utf8')).toMatch(new RegExp(String.raw`\| DetCo +\| +${ofDetco} \|`));
    expect(await readFile(join(work, 'quality.svg'), 'utf8')).toMatch(/^<svg xmlns=.*<\/svg>\n$/s);
    expect((await readdir(work)).some((name) => /^quality-[\d-]+\.json$/.test(name))).toBe(true);

    // What is done is not done again, and gives the same.
    const job = join(work, 'jobs', 'run-detco-1.json');
    const { mtimeMs } = await stat(job);
    await rm(join(work, 'jobs', 'colour.json'));
    const second = await compare();
    expect((await stat(job)).mtimeMs).toBe(mtimeMs);
    const { summary, colour } = JSON.parse(second.stdout) as typeof report;
    expect({ summary, colour }).toEqual({ summary: report.summary, colour: report.colour });

    // One that was cut reports on what is there.
    await rm(job);
    const cut = JSON.parse((await compare('--as-it-is')).stdout) as typeof report;
    expect(Object.keys(cut.summary)).toEqual(['moco']);

    await expect(compare('--queue-size', '512')).rejects.toThrow(/is of other settings or of other code: name another folder with --work/);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}, 600_000);
