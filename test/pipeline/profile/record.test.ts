import { describe, expect, test } from '@jest/globals';
import type { PipelineMeters } from '#dist/pipeline/index.js';
import { ProfileRecorder } from '#dist/pipeline/profile/index.js';
import { nothing, setup } from './totals.js';

/** A pipeline whose clock and counters are set by hand. */
function handmade() {
  const now = { ms: 1000, images: 0 };
  const meters = (): PipelineMeters => ({
    setup,
    totals: { ...nothing, ...now },
    queues: { compressed: 1, decoding: 2, decoded: 3, full: now.images },
    rssBytes: 1,
  });
  return { now, recorder: new ProfileRecorder({ meters }) };
}

describe('a recorder', () => {
  test('leaves out what happens between pause and resume', () => {
    const { now, recorder } = handmade();
    Object.assign(now, { ms: 2000, images: 10 });
    recorder.resume();
    Object.assign(now, { ms: 2500, images: 17 });
    recorder.pause();
    Object.assign(now, { ms: 9000, images: 100 });
    recorder.resume();
    recorder.resume();
    Object.assign(now, { ms: 9250, images: 105 });
    expect(recorder.measured({ drained: false }).totals).toMatchObject({ ms: 750, images: 12, cpuMs: 0 });
  });

  test('puts neighbouring steps together when there are many, and loses nothing', () => {
    const { recorder } = handmade();
    recorder.resume();
    const steps = 5000;
    for (let step = 0; step < steps; step++) recorder.step({ images: 2, waitMs: step % 7, stepMs: 3 }, step);
    const kept = recorder.measured({ drained: false }).steps;
    expect(kept.length).toBeLessThanOrEqual(1024);
    expect(kept.length).toBeGreaterThan(500);
    const sum = (key: 'steps' | 'images' | 'waitMs' | 'stepMs') => kept.reduce((all, step) => all + step[key], 0);
    const waited = Array.from({ length: steps }, (_, step) => step % 7).reduce((all, ms) => all + ms, 0);
    expect([sum('steps'), sum('images'), sum('waitMs'), sum('stepMs')]).toEqual([steps, 2 * steps, waited, 3 * steps]);
    expect(kept.map(({ ms }) => ms)).toEqual(kept.map(({ ms }) => ms).toSorted((a, b) => a - b));
  });

  test('samples the queues no more often than a figure shows, over any length of time', () => {
    const { now, recorder } = handmade();
    recorder.resume();
    for (let ms = 0; ms < 3_600_000; ms += 50) {
      now.ms = ms;
      recorder.sample(ms);
    }
    const { samples } = recorder.measured({ drained: false });
    expect(samples.length).toBeLessThanOrEqual(1024);
    expect(samples.length).toBeGreaterThan(400);
    expect(samples.at(-1)?.ms).toBeGreaterThan(3_500_000);
  });
});
