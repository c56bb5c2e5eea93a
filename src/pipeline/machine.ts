/** What this process may use of the machine. */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { nodeReport } from '../common/node-report.js';

/** Cores that this process may use: fewer than the machine has under `taskset` or in a container with a quota. */
export function usableCores(): number {
  let quota = Infinity;
  try {
    const [limit, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'latin1').split(' ').map(Number);
    if (limit && period) quota = limit / period;
  } catch {
    // No cgroup v2: no quota that could be read.
  }
  return Math.min(availableParallelism(), quota);
}

/** Bytes of memory that this process may use: fewer than the machine has in a container with a limit. */
export function usableMemory(): number {
  // Without a limit it is 0 or more than there is.
  return Math.min(totalmem(), process.constrainedMemory() || Infinity);
}

/** libuv's own default, and the most it starts. */
const UV_THREADS = 4;
const MOST_UV_THREADS = 1024;

/** Threads that decode and read files and names: UV_THREADPOOL_SIZE as libuv reads it, which takes what is no number for 1. */
export function uvThreads(): number {
  const text = process.env['UV_THREADPOOL_SIZE'];
  if (text === undefined) return UV_THREADS;
  return Math.min(Math.max(Number.parseInt(text, 10) || 1, 1), MOST_UV_THREADS);
}

/** Files and sockets that this process may have open. Node raises the soft limit to the hard one. Undefined on Windows, and without a limit. */
export function openFilesLimit(): number | undefined {
  const limit = Number(limitOfProc() ?? nodeReport().userLimits?.open_files?.soft);
  return Number.isNaN(limit) ? undefined : limit;
}

/** Digits or `unlimited`; undefined where there is no /proc, or no file can be opened any more. See proc_pid_limits(5). */
function limitOfProc(): string | undefined {
  try {
    return /^Max open files +(\w+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
