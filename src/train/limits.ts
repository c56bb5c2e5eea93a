/** Bounds of numbers, for the config file and the command line. Beyond them a number is a slip of the keyboard. */
import { MOST_KEYS } from '../model/limits.js';
import { MOST_PIXELS } from '../pipeline/worker/image-header.js';

/** Of what is only counted: epochs, updates. */
const MOST_COUNTED = 1_000_000_000;

export const LIMITS = Object.freeze({
  batch: [1, 1_000_000],
  epochs: [1, 1_000_000],
  steps: [1, MOST_COUNTED],
  seed: [0, 0xffff_ffff],
  workers: [1, 1024],
  maxPixels: [1, MOST_PIXELS],
  queueSize: [1, MOST_KEYS],
  checkpointEvery: [1, MOST_COUNTED],
  evalEvery: [1, MOST_COUNTED],
  // What float32 holds. A rate that is merely too high ends with the step at which the loss was no number.
  lr: [0, 1e38],
} as const satisfies Readonly<Record<string, readonly [low: number, high: number]>>);
