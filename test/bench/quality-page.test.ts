/** The page of bench:quality, made of results that are kept. */
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Difference, load } from './load.js';

type Numbers = Record<string, { mean: number; deviation?: number; toBaseline?: Difference }>;
interface Report {
  summary: Record<string, Numbers>;
  seeds: Record<string, number>;
  settings: Record<string, unknown>;
  runs: { arm: string }[];
}

const { writePage } = await load<{ writePage(dir: string, results: string): Promise<string> }>('results');

const root = fileURLToPath(new URL('../../', import.meta.url));
const results = join(root, 'bench', 'results');
const MAIN = 'quality-2026-12-01.json';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-quality-page-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('docs/quality.md and its plot are what bench/results gives', async () => {
  // As deep as in the repository: the page has paths to the results.
  const copy = join(folder, 'bench', 'results');
  await cp(results, copy, { recursive: true });
  await writePage(join(folder, 'docs'), copy);
  for (const name of ['quality.md', 'quality.svg']) {
    const [written, committed] = await Promise.all([folder, root].map((dir) => readFile(join(dir, 'docs', name), 'utf8')));
    expect(written?.split('\n')).toEqual(committed?.split('\n'));
  }
});

/** The main comparison with one thing changed, of which DetCo's differences are these. */
async function vary(settings: object, toBaseline: Difference): Promise<Report> {
  const report = JSON.parse(await readFile(join(results, MAIN), 'utf8')) as Report;
  const { moco, detco } = report.summary;
  if (!moco || !detco) throw new Error(`${MAIN}: expected moco and detco`);
  report.summary = { moco, detco: Object.fromEntries(Object.entries(detco).map(([name, value]) => [name, { ...value, toBaseline }])) };
  report.seeds = { moco: 3, detco: 3 };
  Object.assign(report.settings, settings);
  return report;
}

const above: Difference = { mean: 0.02, interval: [0.01, 0.03] };
const either: Difference = { mean: 0.02, interval: [-0.01, 0.05] };

test('a variation has a line for each statement of the paper, and says what it changes and whether it shows the ordering', async () => {
  const dir = join(folder, 'varied');
  await mkdir(dir);
  await copyFile(join(results, MAIN), join(dir, MAIN));
  await writeFile(join(dir, 'quality-longer-2026-11-30.json'), JSON.stringify(await vary({ updates: 1200 }, above)));
  await writeFile(join(dir, 'quality-queue-2026-11-30.json'), JSON.stringify(await vary({ queueSize: 2048, photo: true }, either)));
  const page = await readFile(await writePage(dir, dir), 'utf8');

  expect(page.replaceAll(/\s+/g, ' ')).toContain('Of 2 variations with one thing changed ([below](#what-was-varied)), 1 show');
  const cells = page.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  const rows = cells.slice(cells.findIndex(([, title]) => title === 'as above')).slice(0, 9);
  expect(
    rows.map(([, title, number, seeds, , multiLevel, , , toMoco, better]) => [title, number, seeds, multiLevel, toMoco, better]),
  ).toEqual([
    ['as above', 'linear, res5', '5', '0.189 ± 0.044', '+0.026 (-0.010 to +0.062)', 'not decided'],
    ['', 'cells, res4', '5', '0.138 ± 0.024', '+0.021 (+0.004 to +0.038)', 'yes'],
    ['', 'AP50', '5', '0.078 ± 0.039', '+0.012 (-0.024 to +0.048)', 'not decided'],
    ['1200 updates', 'linear, res5', '3', '-', '+0.020 (+0.010 to +0.030)', 'yes'],
    ['', 'cells, res4', '3', '-', '+0.020 (+0.010 to +0.030)', 'yes'],
    ['', 'AP50', '3', '-', '+0.020 (+0.010 to +0.030)', 'yes'],
    ['`synth --photo`, queues of 2048', 'linear, res5', '3', '-', '+0.020 (-0.010 to +0.050)', 'not decided'],
    ['', 'cells, res4', '3', '-', '+0.020 (-0.010 to +0.050)', 'not decided'],
    ['', 'AP50', '3', '-', '+0.020 (-0.010 to +0.050)', 'not decided'],
  ]);
  expect(page).toContain('- **1200 updates:** was reproduced.');
  expect(page).toContain('[quality-longer-2026-11-30.json](quality-longer-2026-11-30.json)');
});

test('a comparison of the same seconds has a section of its own, with the updates and the seconds of each arm', async () => {
  const dir = join(folder, 'timed');
  await mkdir(dir);
  await copyFile(join(results, MAIN), join(dir, MAIN));
  const report = await vary({ seconds: true }, above);
  const runs = report.runs.flatMap((run) => {
    const updates = { moco: 300, detco: 140 }[run.arm];
    return updates === undefined ? [] : [{ ...run, updates, trainSeconds: 41.2 }];
  });
  await writeFile(join(dir, 'quality-seconds-2026-11-30.json'), JSON.stringify({ ...report, runs }));
  const page = await readFile(await writePage(dir, dir), 'utf8');
  const section = page.slice(page.indexOf('## With the same seconds'), page.indexOf('## What the paper says'));
  const cells = section.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  expect(cells.filter(([, title]) => title === 'MoCo v2' || title === 'DetCo').map((row) => row.slice(1, 5))).toEqual([
    ['MoCo v2', '300', '41', '0.103 ± 0.021'],
    ['DetCo', '140', '41', expect.stringContaining(' ± ')],
    ['DetCo', ...Array.from({ length: 3 }, () => '+0.020 (+0.010 to +0.030)')],
  ]);
  // It varies nothing of what the paper's ordering may depend on.
  expect(page).toContain('Nothing was varied for this page.');
});

const cut = async (change: (report: Record<string, unknown> & Report) => unknown): Promise<string> => {
  const report = JSON.parse(await readFile(join(results, MAIN), 'utf8')) as Record<string, unknown> & Report;
  change(report);
  return JSON.stringify(report);
};

test.each<[string, () => Promise<string>, string]>([
  ['an empty object', async () => '{}', 'summary: Invalid input'],
  ['null', async () => 'null', 'Invalid input: expected object'],
  ['JSON that is cut', async () => (await cut(() => undefined)).slice(0, 2000), 'it cannot be read ('],
  [
    'NaN, which JSON has as null',
    () => cut(({ summary }) => Object.assign(summary['detco'] ?? {}, { ap50: { mean: Number.NaN } })),
    'summary.detco.ap50.mean: Invalid',
  ],
  ['no settings', () => cut((report) => Reflect.deleteProperty(report, 'settings')), 'settings: Invalid input'],
  ['no runs', () => cut((report) => Object.assign(report, { runs: [] })), 'runs: Too small'],
  [
    'no seconds of what had the same',
    () =>
      cut(({ settings, runs }) => {
        Object.assign(settings, { seconds: true });
        for (const run of runs) Reflect.deleteProperty(run, 'trainSeconds');
      }),
    'runs: expected updates',
  ],
  ['no arm that others are compared to', () => cut(({ summary }) => delete summary['moco']), 'summary.moco: expected the arm'],
  [
    'no difference',
    () => cut(({ summary }) => Object.assign(summary['detco'] ?? {}, { ap50: { mean: 0 } })),
    'summary.detco.ap50: expected its',
  ],
])('a report with %s is refused by its name, and nothing is written', async (_, make, problem) => {
  const text = await make();
  for (const bad of ['quality-2026-12-02.json', 'quality-longer-2026-11-30.json']) {
    const dir = await mkdtemp(join(folder, 'report-'));
    await copyFile(join(results, MAIN), join(dir, MAIN));
    await writeFile(join(dir, bad), text);
    const refused = `${join(dir, bad)}: expected a report of bench:quality; ${problem}`;
    await expect(writePage(join(dir, 'docs'), dir)).rejects.toThrow(refused);
    expect((await readdir(dir)).toSorted()).toEqual([MAIN, bad].toSorted());
  }
});

test('no page is made without a main comparison, nor of a variation without DetCo', async () => {
  const dir = join(folder, 'bad');
  await mkdir(dir);
  await expect(writePage(dir, dir)).rejects.toThrow('expected quality-DATE.json, the results of a comparison');
  await copyFile(join(results, MAIN), join(dir, MAIN));
  const { summary, ...rest } = await vary({ updates: 1200 }, above);
  await writeFile(join(dir, 'quality-longer-2026-11-30.json'), JSON.stringify({ ...rest, summary: { moco: summary['moco'] } }));
  await expect(writePage(dir, dir)).rejects.toThrow(
    'quality-longer-2026-11-30.json: a variation has the arms moco and detco at least; this one has moco',
  );
});
