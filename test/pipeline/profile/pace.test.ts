import { expect, test } from '@jest/globals';
import { measurePipeline } from '#dist/pipeline/profile/index.js';
import { Pace } from '#dist/pipeline/profile/pace.js';
import { recipes } from '#dist/pipeline/index.js';

test('a consumer that is told to stop stops within a batch, with the reason', async () => {
  const stop = new AbortController();
  const step = new Pace(86_400_000, stop.signal).step();
  stop.abort(new Error('enough'));
  await expect(step).rejects.toThrow('enough');
});

test('a consumer that takes longer for a batch than is measured is refused', async () => {
  const options = { shards: 'fixtures/shards/val-000.tar', recipe: recipes.evaluation(), batchSize: 64 };
  const measured = measurePipeline(options, { seconds: 10, consume: 0.001 });
  await expect(measured).rejects.toThrow(RangeError);
  await expect(measured).rejects.toThrow(
    'a batch of 64 takes 64000 s at this rate, longer than the 10 s to measure; use 7 or more images a second',
  );
});
