import { expect, test } from '@jest/globals';
import { TASK } from '#dist/pipeline/profile/lane-meters.js';
import { chromeTrace } from '#dist/pipeline/profile/index.js';
import { STAGE, STAGES } from '#dist/pipeline/profile/stages.js';
import { checkTrace } from './trace.js';

const setup = { workers: 2, views: ['globalQ', 'globalK'] };

test('a trace names its threads, nests views in the rendering of their sample, and counts the queues', () => {
  const render = { thread: 1, track: -1, startMs: 5003, durationMs: 4 };
  const spans = [
    { ...render, stage: STAGES.length, durationMs: 1.5 },
    { ...render, stage: STAGES.length + 1, startMs: 5004.5, durationMs: 2.5 },
    { ...render, stage: STAGE.augment },
    { thread: 1, track: 4 * 3 + TASK.place, stage: STAGE.turn, startMs: 5001, durationMs: 2 },
    { thread: 2, track: -1, stage: STAGE.wait, startMs: 5000, durationMs: 8 },
  ];
  const samples = [{ ms: 5002, queues: { compressed: 7, decoding: 1, decoded: 2, full: 3 }, rssBytes: 1 }];
  const trace = chromeTrace(spans, samples, setup);
  expect(checkTrace(trace)).toEqual(['consumer', 'worker 0', 'worker 1', 'worker 1 lane 3 place']);
  const spansOf = (tid: number) => trace.traceEvents.filter((event) => event.ph === 'X' && event.tid === tid);
  expect(spansOf(11).map(({ name, ts, dur }) => [name, ts, dur])).toEqual([
    ['augment', 3000, 4000],
    ['augment.globalQ', 3000, 1500],
    ['augment.globalK', 4500, 2500],
  ]);
  expect(spansOf(1)).toMatchObject([{ name: 'wait', ts: 0, dur: 8000 }]);
  expect(trace.traceEvents.filter(({ ph }) => ph === 'C').map(({ name, args }) => [name, args])).toEqual([
    ['compressed samples', { items: 7 }],
    ['decoding samples', { items: 1 }],
    ['decoded samples', { items: 2 }],
    ['full batches', { items: 3 }],
  ]);
});

test('a trace takes as many spans as detco profile keeps of several threads', () => {
  const spans = Array.from({ length: 4 << 17 }, (_, n) => ({
    thread: n & 1,
    track: -1,
    stage: STAGE.augment,
    startMs: 10 + n,
    durationMs: 1,
  }));
  const { traceEvents } = chromeTrace(spans, [], setup);
  expect(traceEvents.filter(({ ph }) => ph === 'X')).toHaveLength(spans.length);
  expect(traceEvents.find(({ ph }) => ph === 'X')).toMatchObject({ ts: 0, dur: 1000 });
});
