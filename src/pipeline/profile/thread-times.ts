/** What the scheduler of Linux says of a thread: proc_pid_schedstat. */
import { readFileSync } from 'node:fs';

export interface ThreadTimes {
  /** Time on a core, milliseconds since the thread began. */
  readonly cpuMs: number;
  /** Time in which it could have run and had no core. */
  readonly runnableMs: number;
}

/** Of the thread that calls; undefined where the system does not tell. */
export function threadTimes(): ThreadTimes | undefined {
  try {
    const [cpu = NaN, runnable = NaN] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number);
    return Number.isNaN(cpu + runnable) ? undefined : { cpuMs: cpu / 1e6, runnableMs: runnable / 1e6 };
  } catch {
    return undefined;
  }
}
