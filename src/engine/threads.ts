/** How many threads an engine may be told to start. */
import { availableParallelism } from 'node:os';

/**
 * Kernels wait for their slowest thread. Beyond a few for each core the threads only wait for each other: eight for each
 * made an update of a small network ten times slower, and thousands keep a process from hearing a signal for minutes.
 */
export const MOST_THREADS = 8 * availableParallelism();
