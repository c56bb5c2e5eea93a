import { expect, test } from '@jest/globals';
import { profileReport, reportLines, sweepLines } from '#dist/pipeline/profile/index.js';
import { measured, nothing, setup, visits } from './totals.js';

test('a report fits a terminal 100 columns wide, at its worst', () => {
  const everything = Object.fromEntries(
    Object.keys(nothing.stages).map((name) => [name, visits(123_456, 9876.5, { bytes: 9e13, failures: 12_345 })]),
  );
  const report = profileReport(
    measured(
      0.31,
      {
        stages: everything,
        laneMs: { ...nothing.laneMs, source: 9000 },
        loops: Array.from({ length: 96 }, () => ({ activeMs: 300, idleMs: 700 })),
      },
      {
        setup: { ...setup, workers: 96, cores: 96, shards: 4, medium: 'network' },
        firstBatchMs: 123_456,
        supply: { imagesPerSecond: 12_345.6, cpuMsPerImage: 7 },
        free: 99_999,
      },
    ),
  );
  const lines = reportLines(report);
  expect(lines.filter((line) => line.length > 100)).toEqual([]);
  const text = lines.join('\n');
  expect(text.replace(/\s+/g, ' ')).toContain(report.verdict);
  expect(text.replace(/\s+/g, ' ')).toContain(report.nextStep);
  for (const name of ['source', 'decode', 'globalQ', 'wait']) expect(text).toMatch(new RegExp(`^ *${name} `, 'm'));
});

test.each([
  [1, -0.19, 'images/s, slower than the run itself: this was disturbed'],
  [2, -0.01, 'images/s: 0 % more'],
  [3, 0.2, 'images/s: 20 % more'],
])('free data, case %i, of a gain of %f', (_case, gain, words) => {
  const rate = profileReport(measured(0.3)).imagesPerSecond;
  const report = profileReport(measured(0.3, {}, { free: rate * (1 + gain) }));
  expect(reportLines(report).find((line) => line.startsWith('if data were free'))).toMatch(new RegExp(`${words}$`));
});

test('what is left to a device is told where there is some', () => {
  const device = (left: number) => {
    const workers = { ...nothing.workers, decoded: 320, left };
    return reportLines(profileReport(measured(0.3, { stages: { decode: visits(320, 1) }, workers }))).filter((line) =>
      line.startsWith('device'),
    );
  };
  expect(device(0)).toEqual([]);
  expect(device(272)).toEqual([expect.stringMatching(/^device +85 % of the images left to it compressed$/)]);
});

test('a sweep marks the fewest workers that are enough', () => {
  const lines = sweepLines(
    [
      { workers: 1, imagesPerSecond: 100, cores: 0.5 },
      { workers: 2, imagesPerSecond: 200, cores: 0.98 },
    ],
    2,
  );
  expect(lines).toEqual([
    'workers  images/s  cores',
    `      1       100   50 %  ${'#'.repeat(20)}`,
    `      2       200   98 %  ${'#'.repeat(40)}  <- enough`,
  ]);
});
