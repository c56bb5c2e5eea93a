import { expect, test } from '@jest/globals';
import { type Progress, ProgressText } from '#dist/common/progress-text.js';

/** The last text of updates at these seconds. */
function told(...updates: readonly (readonly [seconds: number, progress: Progress])[]): string | undefined {
  const words = new ProgressText('work');
  return updates.map(([seconds, progress]) => words.of(progress, 1000 * seconds).text).at(-1);
}

test('counts, and says what share that is', () => {
  expect(told([0, { done: 3, total: 12, unit: 'shards' }])).toBe('work 3/12 shards (25 %)  ETA ?');
  expect(told([0, { done: 3 }])).toBe('work 3  ETA ?');
  expect(told([0, { done: 3, unit: 'images', share: 0.5 }])).toBe('work 3 images (50 %)  ETA ?');
  expect(told([0, { done: 2e6, total: 8e6, unit: 'bytes' }])).toBe('work 2.0 MB of 8.0 MB (25 %)  ETA ?');
});

test('marks a total that is an estimate, and one that was too low', () => {
  expect(told([0, { done: 64, total: 1248, estimated: true }])).toBe('work 64/~1248 (5 %)  ETA ?');
  expect(told([0, { done: 1280, total: 1248, estimated: true }])).toBe('work 1280/~1280 (100 %)');
});

test('tells the rate of what is counted, and the time that the rest takes', () => {
  const at = (seconds: number, done: number) => [seconds, { done, total: 1000, unit: 'images' }] as const;
  expect(told(at(0, 100), at(10, 300))).toBe('work 300/1000 images (30 %)  20.0 images/s  ETA 35s');
  expect(told(at(0, 100), at(200, 101))).toBe('work 101/1000 images (10 %)  0.0050 images/s  ETA 2d01h');
  expect(told(at(0, 100), at(1, 1000))).toBe('work 1000/1000 images (100 %)  900 images/s');
});

test('goes by what was done of late: what a resumed command finds done already says nothing of its rate', () => {
  const found = Array.from({ length: 100 }, (_, index) => [index / 1000, { done: index, total: 200 }] as const);
  const slow = Array.from({ length: 60 }, (_, index) => [1 + index, { done: 100 + index, total: 200 }] as const);
  expect(told(...found, ...slow)).toBe('work 159/200 (79 %)  1.0/s  ETA 41s');
});

test('goes by the latter half of long work', () => {
  const steady = Array.from({ length: 3601 }, (_, index) => [index, { done: index, total: 20_000 }] as const);
  const slower = Array.from({ length: 1800 }, (_, index) => [3602 + 2 * index, { done: 3600 + index, total: 20_000 }] as const);
  expect(told(...steady)).toBe('work 3600/20000 (18 %)  1.0/s  ETA 4h33m');
  expect(told(...steady, ...slower)).toMatch(/^work 5399\/20000 \(26 %\) {2}0\.50\/s {2}ETA 8h0\dm$/);
});

test('tells the share of work without parts alone', () => {
  const at = (seconds: number, done: number) => [seconds, { work: 'machines on res5', done, total: 1 }] as const;
  expect(told(at(0, 0.25), at(3, 0.5))).toBe('machines on res5 50 %  ETA 6s');
});

test('each piece of the work has its own pace', () => {
  const at = (seconds: number, work: string, done: number) => [seconds, { work, done, total: 10 }] as const;
  expect(told(at(0, 'first', 0), at(1, 'first', 10), at(2, 'second', 0))).toBe('second 0/10 (0 %)  ETA ?');
  expect(told(at(0, 'first', 0), at(1, 'first', 10), at(2, 'second', 0), at(4, 'second', 1))).toBe('second 1/10 (10 %)  0.50/s  ETA 18s');
});

test('has shorter texts, of which the last ones keep the share and the time to go', () => {
  const words = new ProgressText('work');
  words.of({ done: 100, total: 1000, unit: 'images' }, 0);
  expect(words.of({ done: 300, total: 1000, unit: 'images' }, 10_000).shorter).toEqual([
    '300/1000 images (30 %)  20.0 images/s  ETA 35s',
    '30 %  20.0 images/s  ETA 35s',
    '30 %  20.0/s  ETA 35s',
    '30 %  ETA 35s',
    '30 %',
  ]);
  expect(new ProgressText('work').of({ done: 2e6, unit: 'bytes' }, 0).shorter.at(-1)).toBe('2.0 MB');
});
