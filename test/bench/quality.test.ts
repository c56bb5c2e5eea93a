/** The numbers of bench:quality, and a whole comparison in small. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

type Box = readonly [left: number, top: number, right: number, bottom: number];
type Labelled = { readonly label: number; readonly box: Box };
type Detection = Labelled & { readonly score: number };
type Difference = { readonly mean: number; readonly interval: readonly [number, number] };

const folder = new URL('../../bench/', import.meta.url);
const load = async <Module>(name: string): Promise<Module> => (await import(new URL(`quality/${name}.mjs`, folder).href)) as Module;

const { inCrop, coveredBy, overlap } = await load<{
  inCrop(box: object, picture: object, crop: { readonly size: number; readonly fraction: number }): number[];
  coveredBy(boxes: readonly Box[], grid: number, size: number, share?: number): number[];
  overlap(a: Box, b: Box): number;
}>('boxes');
const { cellLabels, balancedAccuracy } = await load<{
  cellLabels(boxes: readonly (readonly Labelled[])[], grid: number, size: number, background: number): number[];
  balancedAccuracy(guessed: readonly number[], labels: readonly number[]): number;
}>('cell-probe');
const { meanAp50, suppress } = await load<{
  meanAp50(found: readonly (readonly Detection[])[], objects: readonly (readonly Labelled[])[], classes: number): number;
  suppress(detections: readonly Detection[]): Detection[];
}>('ap50');
const { pairedDifference } = await load<{ pairedDifference(values: readonly number[], others: readonly number[]): Difference }>(
  'statistics',
);
const { claimed, inWords } = await load<{
  claimed(summary: object): { readonly text: string; readonly verdict: string }[];
  inWords(claims: object): string[];
}>('claims');

test('a box lies in the crop where it lay in the picture', () => {
  // A picture of 100 x 60, of which the middle 30 x 30 becomes 60 x 60: it begins at (35, 15).
  const crop = { size: 60, fraction: 0.5 };
  const picture = { width: 100, height: 60 };
  expect(inCrop({ x: 40, y: 20, width: 10, height: 5 }, picture, crop)).toEqual([10, 10, 30, 20]);
  expect(inCrop({ x: 0, y: 20, width: 50, height: 40 }, picture, crop)).toEqual([0, 10, 30, 60]);
});

test('a cell is of the object whose box covers its middle, or of the background', () => {
  // Middles at 2, 6, 10 and 14.
  const objects = [{ label: 7, box: [4, 4, 12, 8] as const }];
  const none = 9;
  const covered = cellLabels([objects, []], 4, 16, none).flatMap((label, cell) => (label === none ? [] : [[cell, label]]));
  expect(covered).toEqual([
    [5, 7],
    [6, 7],
  ]);
  expect(coveredBy([[0, 0, 16, 16]], 4, 16, 0.5).filter((object) => object === 0)).toHaveLength(4);
});

test('balanced accuracy gives each class the same weight', () => {
  expect(balancedAccuracy([0, 0, 0, 1], [0, 0, 0, 0])).toBe(0.75);
  expect(balancedAccuracy([0, 0, 0, 0], [0, 0, 0, 1])).toBe(0.5);
});

test('overlap is intersection over union', () => {
  expect(overlap([0, 0, 2, 2], [1, 0, 3, 2])).toBeCloseTo(1 / 3, 12);
  expect(overlap([0, 0, 2, 2], [2, 0, 4, 2])).toBe(0);
});

const objects: Labelled[][] = [[{ label: 0, box: [0, 0, 10, 10] }], [{ label: 1, box: [5, 5, 15, 15] }], [{ label: 0, box: [2, 2, 8, 8] }]];
const perfect = objects.map((all) => all.map((one) => ({ ...one, score: 0.9 })));

test('AP50 is 1 of the objects themselves, and 0 of nothing', () => {
  expect(meanAp50(perfect, objects, 3)).toBe(1);
  expect(meanAp50([[], [], []], objects, 3)).toBe(0);
});

test('AP50 counts the objects that are not found, another class, and a second box of one object', () => {
  // Half of class 0 is found: 0.5; class 1 whole.
  expect(meanAp50([perfect[0] ?? [], perfect[1] ?? [], []], objects, 2)).toBe(0.75);
  expect(meanAp50([perfect[0] ?? [], [{ label: 0, score: 0.1, box: [5, 5, 15, 15] }], perfect[2] ?? []], objects, 2)).toBe(0.5);
  // The second box comes before the other object: precision 1 at recall 0.5, 2/3 at recall 1.
  const twice = [
    [...(perfect[0] ?? []), { label: 0, score: 0.8, box: [0, 0, 10, 9] as const }],
    [],
    [{ ...objects[2]?.[0], score: 0.7 } as Detection],
  ];
  expect(meanAp50(twice, objects, 1)).toBeCloseTo(5 / 6, 12);
});

test('of boxes that overlap the best of each class is kept', () => {
  const box = [0, 0, 10, 10] as const;
  const kept = suppress([
    { label: 0, score: 0.2, box },
    { label: 0, score: 0.8, box: [0, 0, 10, 9] },
    { label: 1, score: 0.1, box },
  ]);
  expect(kept.map(({ score }) => score)).toEqual([0.8, 0.1]);
});

test('the paired interval is that of a paired t test', () => {
  // scipy.stats.ttest_rel([.52, .55, .61], [.50, .51, .52]).confidence_interval()
  const { mean, interval } = pairedDifference([0.52, 0.55, 0.61], [0.5, 0.51, 0.52]);
  expect(mean).toBeCloseTo(0.05, 12);
  expect(interval[0]).toBeCloseTo(-0.03956, 4);
  expect(interval[1]).toBeCloseTo(0.13956, 4);
  expect(pairedDifference([1], [0])).toEqual({ mean: 1 });
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
  const script = new URL('quality.mjs', folder).pathname;
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
}, 240_000);
