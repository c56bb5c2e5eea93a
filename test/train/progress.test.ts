import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { durationInWords, formatDuration } from '#dist/common/duration.js';
import { Display } from '#dist/common/display.js';
import { trainProgress } from '#dist/train/progress.js';
import type { StepMetrics } from '#dist/train/metrics.js';

function line(step: number): StepMetrics {
  return {
    step,
    epoch: 1,
    timeMs: 1e12,
    loss: 12.3456,
    terms: {},
    lr: 0.03,
    imagesPerSecond: 32,
    dataWaitMs: 250,
    stepMs: 750,
    rssBytes: 1e9,
    queues: { compressed: 64, decoding: 1, decoded: 2, full: 3 },
    featureStd: 0.1,
  };
}

/** A stream as stderr is, kept in memory. */
function screen(isTTY: boolean, columns = 120) {
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns,
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
  });
  const display = new Display(stream, {});
  return { display, text: () => String(stream.read() ?? '') };
}

test('away from a terminal, prints the first step and then a line every few seconds', () => {
  const { display, text } = screen(false);
  const progress = trainProgress(display);
  for (let step = 1; step <= 50; step++) progress.onStep(line(step), 100, false);
  progress.close();
  expect(text()).toBe('step 1/100  epoch 1  loss 12.346  lr 0.0300  32.0 images/s  data wait 25 %  ETA 1m39s\n');
});

test('tells the time to go by recent updates, and not by those that prepared the first', () => {
  const told = (...stepMs: readonly number[]): string | undefined => {
    const { display, text } = screen(true);
    const progress = trainProgress(display);
    for (const [at, ms] of stepMs.entries())
      progress.onStep({ ...line(at + 1), stepMs: ms, dataWaitMs: 0, imagesPerSecond: 32_000 / ms }, 1000, false);
    progress.close();
    return text()
      .match(/[\d.]+ images\/s {2}data wait 0 % {2}ETA \w+/g)
      ?.at(-1)
      ?.replace('  data wait 0 %  ', ', ');
  };
  expect(told(60_000)).toBe('0.5 images/s, ETA 16h39m');
  expect(told(60_000, 1000)).toBe('32.0 images/s, ETA 16m38s');
  expect(told(60_000, 1000, 9000, 500)).toBe('64.0 images/s, ETA 8m18s');
  expect(told(60_000, 1000, 9000, ...Array.from({ length: 60 }, (_, at) => (at < 30 ? 4000 : 500)))).toBe('64.0 images/s, ETA 7m49s');
});

test('shows the running mean of what a probe gets right', () => {
  const { display, text } = screen(false);
  const progress = trainProgress(display);
  progress.onStep({ ...line(1), probeTop1: 0.125 }, 100, false);
  progress.onEvaluation({ step: 1, epoch: 0, timeMs: 1e12, knnTop1: 0.1, probeTop1: 0.25 });
  progress.close();
  expect(text()).toMatch(
    /^step 1\/100 {2}epoch 1 {2}loss 12\.346 {2}probe 12\.5 % {2}lr .*\nstep 1 {2}kNN top-1 10\.0 % {2}probe top-1 25\.0 %\n$/,
  );
});

test('says that the end is not known yet', () => {
  const { display, text } = screen(false);
  trainProgress(display).onStep(line(1), undefined, false);
  expect(text()).toMatch(/^step 1 {2}epoch 1 .* ETA \?\n$/);
});

test('marks an estimate of the updates', () => {
  const { display, text } = screen(false);
  trainProgress(display).onStep(line(1), 760, true);
  expect(text()).toMatch(/^step 1\/~760 {2}epoch 1 /);
});

test('has no time to go after the last update', () => {
  const { display, text } = screen(false);
  trainProgress(display).onStep(line(100), 100, false);
  expect(text()).toMatch(/^step 100\/100 .* data wait 25 %\n$/);
});

test('on a terminal, draws a bar', () => {
  const { display, text } = screen(true);
  const progress = trainProgress(display);
  progress.onStep(line(1), 100, false);
  progress.onWarning('features have collapsed');
  progress.close();
  expect(text()).toContain('warning: features have collapsed\n');
});

test('on a terminal, draws no more of a bar than is done, and nothing where the end is not known', () => {
  const drawn = (step: number, total: number | undefined, estimated = false): string | undefined => {
    const { display, text } = screen(true);
    const progress = trainProgress(display);
    progress.onStep(line(step), total, estimated);
    progress.close();
    return /([=-]{20}) step (\S+) /.exec(text())?.[0];
  };
  expect(drawn(1, undefined)).toBe(`${'-'.repeat(20)} step 1 `);
  expect(drawn(5, 10)).toBe(`${'='.repeat(10)}${'-'.repeat(10)} step 5/10 `);
  expect(drawn(5, 10, true)).toBe(`${'='.repeat(10)}${'-'.repeat(10)} step 5/~10 `);
});

test('on a narrow terminal, leaves out the bar and then what matters least', () => {
  const drawn = (columns: number, total?: number): string | undefined => {
    const { display, text } = screen(true, columns);
    const progress = trainProgress(display);
    progress.onStep(line(5), total, false);
    progress.close();
    // From the first column to what clears the rest of the line.
    return text().split('\u001b[1G')[1]?.split('\u001b')[0];
  };
  const all = 'step 5/10  epoch 1  loss 12.346  lr 0.0300  32.0 images/s  data wait 25 %  ETA 5s';
  expect(drawn(all.length + 22, 10)).toBe(`==========---------- ${all}`);
  expect(drawn(all.length + 8, 10)).toBe(`===--- ${all}`);
  expect(drawn(all.length + 1, 10)).toBe(all);
  expect(drawn(all.length, 10)).toBe('=====---- step 5/10  epoch 1  loss 12.346  32.0 images/s  data wait 25 %  ETA 5s');
  expect(drawn(40, 10)).toBe('===--- step 5/10  32.0 images/s  ETA 5s');
  expect(drawn(30, 10)).toBe('50 %  32.0 images/s  ETA 5s');
  expect(drawn(20, 10)).toBe('step 5/10  ETA 5s');
  expect(drawn(20)).toBe('----- step 5  ETA ?');
  expect(drawn(8, 10)).toBe('50 %');
});

test('marks the evaluation of the untrained network', () => {
  const { display, text } = screen(false);
  const progress = trainProgress(display);
  progress.onEvaluation({ step: 0, epoch: 0, timeMs: 1e12, knnTop1: 0.125, knnTop1ByStage: { res5: 0.125 } });
  progress.onEvaluation({ step: 60, epoch: 0, timeMs: 1e12, knnTop1: 0.5, knnTop1ByStage: { res5: 0.5 } });
  expect(text()).toBe('step 0  kNN top-1 12.5 % (untrained)\nstep 60  kNN top-1 50.0 %\n');
});

test('formats durations', () => {
  expect([12.4, 185, 3725, 100_000, 360_000, undefined].map(formatDuration)).toEqual(['12s', '3m05s', '1h02m', '27h46m', '4d04h', '?']);
  const seconds = [45, 119, 7200, 100_000, 1e6, 1.3e9];
  expect(seconds.map(durationInWords)).toEqual(['45 seconds', '119 seconds', '2 hours', '28 hours', '12 days', '41 years']);
});
