/**
 * Loaded by `--import` into every thread of a process under test: a pipeline worker fails, in the way FAULT says, when it
 * has filled FAULT_ROWS rows of batches. (The pipeline counts rows with Atomics.add.)
 */
import { isMainThread, threadId } from 'node:worker_threads';

const faults = {
  exit: () => process.exit(3),
  throw: () =>
    setImmediate(() => {
      throw new Error('thrown outside of any task');
    }),
  reject: () => void Promise.reject(new Error('a promise nobody waits for')),
  fill() {
    const kept = [];
    for (;;) kept.push(Array.from({ length: 1000 }, Math.random));
  },
};

if (process.env.FAULT === 'import' && !isMainThread) throw new Error('this thread cannot start');
const fault = isMainThread ? undefined : faults[process.env.FAULT];
if (fault && threadId === 1) {
  const { add } = Atomics;
  let rows = Number(process.env.FAULT_ROWS);
  Atomics.add = (...word) => {
    if (rows-- === 0) fault();
    return add(...word);
  };
}
