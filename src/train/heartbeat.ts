/** Thread beside a training: shows by the time of a lock that its process lives, however long an update keeps the other threads busy. */
import { fsyncSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

const { file, text, everyMs } = workerData as { readonly file: number; readonly text: string; readonly everyMs: number };

setInterval(() => {
  try {
    // Written and not touched: the time is then that of the file's server, as for all others who look.
    writeSync(file, text, 0);
    fsyncSync(file);
  } catch {
    // A full disk, a server that is away for a while: the next beat may succeed.
  }
}, everyMs);
