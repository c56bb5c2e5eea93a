/** What `detco train` says when it is told to stop, and at its end. */
import { counted } from '../common/counted.js';
import { shellWord } from '../common/shell-word.js';
import type { TrainResult } from '../train/index.js';

/** Work of a run that has a network to save. */
const DURING_RUN = /^(update|evaluation|checkpoint|waiting for data)/;

/** @param work what is being done, as `TrainHooks.onWork` names it */
export function stoppingInWords(work: string): string {
  const again = '(again to stop at once)';
  if (!DURING_RUN.test(work)) return `stopping ${again}`;
  const meanwhile = work === 'evaluation' ? 'leaving the evaluation, which --resume makes again,' : 'finishing the update';
  return `stopping: ${meanwhile} and writing a checkpoint ${again}`;
}

/** @param ranks that this command started */
export function outcomeInWords(
  {
    finished,
    step,
    seconds,
    loss,
    evaluations,
    checkpoint,
    run,
  }: Pick<TrainResult, 'finished' | 'step' | 'seconds' | 'loss' | 'evaluations' | 'checkpoint' | 'run'>,
  ranks = 1,
): string {
  const again = ranks === 1 ? '' : ` --ranks ${ranks}`;
  if (!finished) return `stopped after step ${step}; continue with: npx detco train --resume ${shellWord(run)}${again}`;
  if (loss !== undefined) return `done: ${counted(step, 'step')} in ${seconds.toFixed(0)} s, loss ${loss.toFixed(3)}; ${checkpoint}`;
  return `${evaluations.length > 0 ? 'evaluated' : 'nothing to do'}: step ${step} was the last; ${checkpoint}`;
}
