import { expect, test } from '@jest/globals';
import { resolveConfig } from '#dist/train/config.js';
import { likelyCauses } from '#dist/train/likely-causes.js';

test.each([
  [{ preset: 'detco-r50' }, 0.03, 'learning rate 0.03 (a lower --lr, or warmupEpochs); temperature 0.2 (a higher method.temperature)'],
  // Without a temperature, with a warm-up, and a rate of more digits than help anybody.
  [{ preset: 'byol-r50', precision: 'bf16' }, 0.2718281828, 'learning rate 0.272 (a lower --lr); precision bf16 (--precision fp32)'],
] as const)('of a loss that is no number have the values of the run: %j', (options, rate, causes) => {
  expect(likelyCauses(resolveConfig({ shards: ['none.tar'], ...options }), rate)).toBe(`Likely causes, and what to try: ${causes}`);
});
