/** The folder of a run as the ranks have it that do not write it. */
import type { RunDirectory } from './run-directory.js';

/** What a loop does with the folder of its run. */
export type RunRecord = Pick<RunDirectory, 'path' | 'appendMetrics' | 'loss' | 'assertOurs' | 'beside' | 'settle' | 'sync' | 'writeConfig'>;

export function followedRun(path: string): RunRecord {
  const untouched = async (): Promise<never> => {
    throw new Error(`only rank 0 writes to ${path}`);
  };
  return {
    path,
    appendMetrics: () => {},
    loss: () => undefined,
    assertOurs: () => {},
    sync: () => {},
    settle: async () => {},
    beside: untouched,
    writeConfig: untouched,
  };
}
