import { describe, expect, test } from '@jest/globals';
import { learningRate, peakLearningRate, type LearningRateOptions } from '#dist/train/schedule.js';

const moco: LearningRateOptions = {
  lr: 0.03,
  lrScaling: 'linear',
  batch: 256,
  epochs: 200,
  schedule: { kind: 'cosine' },
  warmupSteps: 0,
  warmupEpochs: 0,
};

describe('learning rate', () => {
  test('follows the cosine of main_moco.py by epoch', () => {
    expect(learningRate(moco, 0, 0)).toBe(0.03);
    expect(learningRate(moco, 50, 1)).toBeCloseTo(0.03 * 0.5 * (1 + Math.SQRT1_2), 12);
    expect(learningRate(moco, 100, 1)).toBeCloseTo(0.015, 12);
    expect(learningRate(moco, 199, 1)).toBeGreaterThan(0);
    expect(learningRate(moco, 200, 1)).toBe(0);
  });

  test('does not move within an epoch', () => {
    expect(learningRate(moco, 7, 35_100)).toBe(learningRate(moco, 7, 39_000));
  });

  test('steps down at each milestone', () => {
    const v1: LearningRateOptions = { ...moco, schedule: { kind: 'step', milestones: [120, 160], factor: 0.1 } };
    expect([0, 119, 120, 159, 160, 199].map((epoch) => learningRate(v1, epoch, 1))).toEqual([
      0.03,
      0.03,
      expect.closeTo(0.003, 12),
      expect.closeTo(0.003, 12),
      expect.closeTo(0.0003, 12),
      expect.closeTo(0.0003, 12),
    ]);
  });

  test('scales linearly with the batch, as MoCo README does for 4 and 2 GPUs', () => {
    expect(peakLearningRate({ lr: 0.03, lrScaling: 'linear', batch: 128 })).toBeCloseTo(0.015, 12);
    expect(peakLearningRate({ lr: 0.03, lrScaling: 'linear', batch: 64 })).toBeCloseTo(0.0075, 12);
  });

  test('scales with the square root of the batch, as SimCLR does for batches of 256 to 4096: 0.075 times the root', () => {
    for (const batch of [256, 1024, 4096])
      expect(peakLearningRate({ lr: 1.2, lrScaling: 'sqrt', batch })).toBeCloseTo(0.075 * Math.sqrt(batch), 12);
  });

  test('warms up by epochs, whatever the batch', () => {
    const warm: LearningRateOptions = { ...moco, warmupEpochs: 4 };
    expect([0, 1, 2, 3].map((epoch) => learningRate(warm, epoch, 1) / learningRate(moco, epoch, 1))).toEqual([0.25, 0.5, 0.75, 1]);
  });

  test('warms up linearly and then follows the schedule', () => {
    const warm: LearningRateOptions = { ...moco, warmupSteps: 4 };
    expect([0, 1, 2, 3, 4].map((step) => learningRate(warm, 0, step))).toEqual([0.0075, 0.015, 0.0225, 0.03, 0.03]);
  });
});
