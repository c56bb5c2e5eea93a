import { expect, test } from '@jest/globals';
import { MetricsLines } from '#dist/watch/metrics-lines.js';
import { Series } from '#dist/watch/series.js';
import { lineText } from './metrics-file.js';

test('a curve of a million steps has at most 4096 points, and their spikes', () => {
  const series = new Series();
  for (let step = 1; step <= 1_000_000; step++) series.add(step, step / 10, { loss: step === 777_777 ? 1000 : 1, lr: step });
  const part = series.since(undefined);
  expect(part?.steps.length).toBeGreaterThan(2000);
  expect(part?.steps.length).toBeLessThanOrEqual(4096);
  expect(part?.stride).toBe(256);
  expect(part?.steps.at(-1)).toBe(1_000_000);
  const loss = part?.columns['loss'];
  const spike = part?.steps.findIndex((step) => step >= 777_777) ?? -1;
  expect(loss?.high?.[spike]).toBe(1000);
  expect(loss?.low?.[spike]).toBe(1);
  expect(loss?.mean[spike]).toBeCloseTo((255 + 1000) / 256, 4);
  expect(loss?.high?.filter((high) => high !== 1)).toEqual([1000]);
});

test('what is sent later begins where the points changed', () => {
  const series = new Series();
  for (let step = 1; step <= 10; step++) series.add(step, step, { loss: step });
  const { cursor } = series;
  expect(series.since(cursor)).toBeUndefined();
  series.add(11, 11, { loss: 11 });
  expect(series.since(cursor)).toMatchObject({ from: 10, steps: [11], columns: { loss: { mean: [11] } } });
  const later = series.cursor;
  series.cut(5);
  expect(series.since(later)).toMatchObject({ from: 4, steps: [] });
  series.add(5, 5, { loss: 50 });
  expect(series.since(later)).toMatchObject({ from: 4, steps: [5], columns: { loss: { mean: [50] } } });
});

test('of a step that was made again the last line counts, and evaluations after it go', () => {
  const metrics = new MetricsLines();
  for (const step of [1, 2, 3, 4, 5, 6]) metrics.add(lineText({ step }));
  metrics.add(JSON.stringify({ step: 4, epoch: 0, knnTop1: 0.4 }));
  metrics.add(JSON.stringify({ step: 6, epoch: 0, knnTop1: 0.6 }));
  metrics.add(lineText({ step: 5, loss: 55 }));
  expect(metrics.updates.since(undefined)).toMatchObject({ steps: [1, 2, 3, 4, 5] });
  expect(metrics.updates.since(undefined)?.columns['loss']?.mean.at(-1)).toBe(55);
  expect(metrics.evaluations.since(undefined)).toMatchObject({ steps: [4], columns: { knnTop1: { mean: [0.4] } } });
});

test('seconds follow the clock of the lines where they have one, else what updates took', () => {
  const metrics = new MetricsLines();
  metrics.add('{"step":1,"epoch":0,"loss":1,"dataWaitMs":500,"stepMs":1500}');
  metrics.add('{"step":2,"epoch":0,"loss":1,"dataWaitMs":0,"stepMs":1000}');
  metrics.add('{"step":3,"epoch":0,"loss":1,"dataWaitMs":0,"stepMs":1000,"timeMs":1000000}');
  metrics.add('{"step":4,"epoch":0,"loss":1,"dataWaitMs":0,"stepMs":1000,"timeMs":1060000}');
  metrics.add('{"step":5,"epoch":0,"loss":1,"dataWaitMs":0,"stepMs":1000,"timeMs":1000000}');
  expect(metrics.updates.since(undefined)?.seconds).toEqual([2, 3, 3, 63, 63]);
});

test.each(['', '7', '{"loss":1}', '{"step":-1,"loss":1}', '{"step":"1","loss":1}', '{"step":1,"loss":', 'null', '[]'])(
  'a line that is none is counted and passed over: %s',
  (text) => {
    const metrics = new MetricsLines();
    metrics.add(text);
    metrics.add(lineText({ step: 3 }));
    expect(metrics.unreadable).toBe(1);
    expect(metrics.updates.since(undefined)?.steps).toEqual([3]);
  },
);
