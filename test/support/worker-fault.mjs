/**
 * Loaded by `--import` into every thread of a process under test: a pipeline worker fails, in the way FAULT says, when it
 * has filled FAULT_ROWS rows of batches (the pipeline counts rows with Atomics.add), or is done.
 */
import { isMainThread, MessagePort, threadId } from 'node:worker_threads';

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

// As when the system gives no more memory: a task that ends before it serves a lane.
if (process.env.FAULT === 'kernels' && !isMainThread) {
  WebAssembly.instantiate = () => Promise.reject(new RangeError('WebAssembly.instantiate(): Out of memory'));
}

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

// The worker closes its port when its task is done.
if (process.env.FAULT === 'late' && threadId === 1) {
  const { close } = MessagePort.prototype;
  MessagePort.prototype.close = function (...parameters) {
    setTimeout(() => {
      throw new Error('thrown after the task');
    }, 200);
    return close.apply(this, parameters);
  };
}
