/** Bounds of numbers, for the config file and the command line. Beyond them a number is a slip of the keyboard. */
import { MOST_BAD_SAMPLES, MOST_LANES, MOST_SAMPLES } from '../pipeline/options.js';
import { MOST_PIXELS } from '../pipeline/worker/image-header.js';

/** Of what is only counted: updates, images. */
const MOST_COUNTED = 1_000_000_000;
const MOST_EPOCHS = 1_000_000;

export const LIMITS = Object.freeze({
  batch: [1, MOST_SAMPLES],
  epochs: [1, MOST_EPOCHS],
  steps: [1, MOST_COUNTED],
  warmupSteps: [0, MOST_COUNTED],
  warmupEpochs: [0, MOST_EPOCHS],
  milestone: [1, MOST_EPOCHS],
  seed: [0, 0xffff_ffff],
  workers: [1, MOST_LANES],
  lanes: [1, MOST_LANES],
  shuffle: [0, MOST_SAMPLES],
  maxBadSamples: [0, MOST_BAD_SAMPLES],
  maxPixels: [1, MOST_PIXELS],
  checkpointEvery: [1, MOST_COUNTED],
  keepCheckpoints: [1, MOST_COUNTED],
  evalEvery: [1, MOST_COUNTED],
  /** Images or neighbours of kNN. */
  knn: [1, MOST_COUNTED],
  // Above 0, and what float32 holds. A rate that is merely too high ends with the step at which the loss was no number.
  lr: [0, 1e38],
} as const satisfies Readonly<Record<string, readonly [low: number, high: number]>>);
