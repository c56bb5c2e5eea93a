import { expect, test } from '@jest/globals';
import { outcomeInWords, stoppingInWords } from '#dist/cli/train-words.js';

test('a stop says what becomes of the work at hand', () => {
  const end = 'and writing a checkpoint (again to stop at once)';
  expect(stoppingInWords('update 48')).toBe(`stopping: finishing the update ${end}`);
  expect(stoppingInWords('evaluation')).toBe(`stopping: leaving the evaluation, which --resume makes again, ${end}`);
});

test('the end says whether there was an update, an evaluation alone, or nothing to do', () => {
  const result = { finished: true, step: 25, seconds: 7, evaluations: [], checkpoint: 'r/checkpoints/step-25', run: 'r' };
  const evaluations = [{ step: 25, epoch: 1, timeMs: 1e12, effectiveRank: 3 }];
  expect(outcomeInWords({ ...result, loss: 1.5, evaluations })).toBe('done: 25 steps in 7 s, loss 1.500; r/checkpoints/step-25');
  expect(outcomeInWords({ ...result, evaluations })).toBe('evaluated: step 25 was the last; r/checkpoints/step-25');
  expect(outcomeInWords(result)).toBe('nothing to do: step 25 was the last; r/checkpoints/step-25');
  expect(outcomeInWords({ ...result, finished: false })).toBe('stopped after step 25; continue with: npx detco train --resume r');
});
