/** What becomes of a run that fails: what was computed is saved where it can be, and the error says where, and what to do. */
import { shellWord } from '../common/shell-word.js';
import { reasonOf } from '../pipeline/source/source.js';
import { DataError } from './data-error.js';
import { explainOutOfMemory } from './memory.js';
import type { RunRecord } from './followed-run.js';
import type { Loss } from './run-directory.js';

export interface Failed {
  readonly run: RunRecord;
  readonly step: number;
  /** Images an update. */
  readonly batch: number;
  /** Whether the newest checkpoint is of an earlier step. */
  readonly unsaved: boolean;
  /** Writes a checkpoint to the folder of a run; absent when the failure came in the middle of an update. */
  readonly save?: (run: string) => Promise<string>;
}

/** @returns the error to end the run with */
export async function afterFailure(error: unknown, failed: Failed): Promise<unknown> {
  const { run, unsaved, save } = failed;
  const loss = run.loss();
  if (loss) return new Error(`${loss.problem}; the run was stopped. ${await rescued(loss, failed)}`, { cause: error });
  const saved = unsaved && save ? await savedInPlace(save, failed) : undefined;
  if (error instanceof DataError)
    return new Error(`${error.message.replace(/\.$/, '')}. ${saved ? `${saved}; ` : ''}${error.remedy}`, { cause: error });
  const explained = explainOutOfMemory(error, failed);
  if (saved === undefined) return explained;
  return new Error(`${reasonOf(explained)}. ${saved}; continue with npx detco train --resume ${shellWord(run.path)}`, { cause: error });
}

async function savedInPlace(save: (run: string) => Promise<string>, { run, step }: Failed): Promise<string> {
  try {
    return `What was computed up to step ${step} is in ${await save(run.path)}`;
  } catch (error) {
    return `What was computed since the last checkpoint could not be saved (${reasonOf(error)})`;
  }
}

/** Saves the state of a run whose folder is not what it was: there if the folder is still its own, else in one beside. */
async function rescued({ ours }: Loss, { run, step, save }: Failed): Promise<string> {
  if (!save) return `What was computed up to step ${step} could not be saved: it failed in the middle of an update`;
  try {
    const beside = ours ? undefined : await run.beside();
    const place = beside ?? run;
    try {
      if (ours) await run.writeConfig();
      const path = await save(place.path);
      const without = ours ? '' : '; the lines of metrics.jsonl and the checkpoints before it are not there';
      return `What was computed up to step ${step} is in ${path}${without}: continue with npx detco train --resume ${shellWord(place.path)}`;
    } finally {
      await beside?.close();
    }
  } catch (error) {
    return `What was computed up to step ${step} could not be saved (${reasonOf(error)})`;
  }
}
