/**
 * How V8 is to look after the heaps of workers. Their JavaScript is a few megabytes, but V8 counts the images that pass
 * through, compressed and decoded, as if they were its own.
 */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import type { ResourceLimits, Worker } from 'node:worker_threads';

/**
 * Decoded pixels die within a millisecond and are freed by collections of the young generation. At its usual size those
 * come so seldom that hundreds of megabytes wait for them.
 */
const YOUNG_GENERATION_MB = 6;

/**
 * Compressed samples grow old in shuffle buffers. By default V8 marks the whole heap anew whenever a few megabytes of them
 * have, which is every 40 images and a tenth of all processor time.
 */
const INITIAL_OLD_GENERATION_MB = 128;

/** @param workerMemoryMb megabytes of JavaScript heap that a worker may use */
export function heapLimits(workerMemoryMb: number | undefined): ResourceLimits {
  return {
    maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
    ...(workerMemoryMb !== undefined && { maxOldGenerationSizeMb: workerMemoryMb }),
  };
}

/** Starts workers whose old generation begins large. There is no option for it, only a flag that threads read when they start. */
export function startRoomy<Pool extends { readonly threads: readonly Worker[] }>(start: () => Pool): Pool {
  setFlagsFromString(`--initial-old-space-size=${INITIAL_OLD_GENERATION_MB}`);
  const pool = start();
  const restore = () => setFlagsFromString('--initial-old-space-size=0');
  // A worker that cannot start is reported by its pool.
  Promise.all(pool.threads.map((thread) => once(thread, 'online'))).then(restore, restore);
  return pool;
}
