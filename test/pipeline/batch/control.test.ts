import { describe, expect, test } from '@jest/globals';
import { Control, PipelineAborted } from '#dist/pipeline/batch/control.js';

const shape = { lanes: 2, slots: 2 };

function begun(epoch = 0, base = 0, step = 0, good = [0, 0]): Control {
  const control = new Control(shape);
  control.begin(epoch, base, step, good);
  return control;
}

describe('Control', () => {
  test('opens each slot for the first step that falls to it, also after a resume', async () => {
    const control = begun(3, 10, 13, [4, 2]);
    await control.slotOpen(13);
    await control.slotOpen(14);
    let opened = false;
    const waiting = control.slotOpen(15).then(() => (opened = true));
    await Promise.resolve();
    expect(opened).toBe(false);
    control.release(13);
    await waiting;
    expect(control.ready(3, 0)).toBe(4);
    expect(control.base(3)).toBe(10);
  });

  test('the last lane to finish opens the next epoch after the whole batches of this one', async () => {
    const control = begun();
    control.publishReady(0, 0, 5);
    control.publishReady(0, 1, 4);
    control.publishDry(0, 0);
    expect(control.epochSamples(0)).toBeUndefined();
    control.publishDry(0, 1);
    expect(control.epochSamples(0)).toBe(9);
    control.finishLane(0, 4, true);
    expect(control.openEpoch).toBe(0);
    control.finishLane(0, 4, true);
    await control.epochOpen(1);
    expect(control.base(1)).toBe(2);
  });

  test('a batch that stays partial is given up with dropLast and counted without', () => {
    for (const dropLast of [true, false]) {
      const control = begun();
      control.publishReady(0, 0, 3);
      control.publishDry(0, 0);
      control.publishDry(0, 1);
      for (let row = 0; row < 2; row++) control.fillRow(0, 2);
      control.fillRow(1, 2);
      control.finishLane(0, 2, dropLast);
      control.finishLane(0, 2, dropLast);
      expect(control.filled(0)).toBe(2);
      expect(control.filled(1)).toBe(dropLast ? 0 : 1);
      expect(control.base(1)).toBe(dropLast ? 1 : 2);
    }
  });

  test('giving up a partial batch leaves alone a full slot that waits to be consumed', () => {
    const control = begun();
    control.publishReady(0, 0, 5);
    control.publishDry(0, 0);
    control.publishDry(0, 1);
    for (const step of [0, 1]) for (let row = 0; row < 2; row++) control.fillRow(step, 2);
    // The fifth row would go to step 2, whose slot still holds step 0.
    control.finishLane(0, 2, true);
    control.finishLane(0, 2, true);
    expect(control.filled(0)).toBe(2);
  });

  test('a wait for a lane ends when the lane runs dry', async () => {
    const control = begun();
    const waiting = control.readyChange(0, 1, 0);
    control.publishDry(0, 1);
    await waiting;
    expect(control.dry(0, 1)).toBe(true);
  });

  test('abort ends every wait, those that begin later too', async () => {
    const control = begun();
    const waits = [control.slotOpen(5), control.epochOpen(1), control.readyChange(0, 0, 0), control.pulseChange(control.pulse)];
    control.abort();
    for (const wait of waits) await expect(wait).rejects.toThrow(PipelineAborted);
    await expect(control.slotOpen(5)).rejects.toThrow(PipelineAborted);
    await control.abortion();
  });
});
