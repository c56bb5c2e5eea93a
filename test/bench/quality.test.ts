/** The numbers of bench:quality, and a whole comparison in small. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { type Difference, load } from './load.js';

const script = new URL('../../bench/quality.mjs', import.meta.url).pathname;

const { pairedDifference, pairsToDecide } = await load<{
  pairedDifference(values: readonly number[], others: readonly number[]): Difference;
  pairsToDecide(differences: readonly number[]): number;
}>('statistics');
const { claimed, inWords } = await load<{
  claimed(summary: object): { readonly text: string; readonly verdict: string }[];
  inWords(claims: object): string[];
}>('claims');

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
  const small = ['--quick', '--json', '--work', work, '--arms', 'moco,detco', '--seeds', '1', '--updates', '3', '--images', '64'];
  const compare = async (...more: string[]) => await promisify(execFile)(process.execPath, [script, ...small, ...more]);
  try {
    const first = await compare();
    const report = JSON.parse(first.stdout) as { summary: Record<string, Record<string, { mean: number }>>; colour: number };
    expect(Object.keys(report.summary)).toEqual(['moco', 'detco']);
    for (const name of ['knn.res2', 'linear.res5', 'cells.res3', 'ap50']) {
      const value = report.summary['detco']?.[name]?.mean;
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    expect(await readFile(join(work, 'quality.md'), 'utf8')).toMatch(/\| DetCo \|/);
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
