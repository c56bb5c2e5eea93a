/** What holds of a pipeline's options unless told otherwise. */
import { MAX_PIXELS } from './worker/image-header.js';

/** What `createPipeline` takes for options that are not given. */
export const PIPELINE_DEFAULTS = Object.freeze({
  seed: 0,
  epochs: 1,
  lanes: 16,
  rank: 0,
  worldSize: 1,
  shuffle: 64,
  slots: 3,
  dropLast: true,
  ordinals: false,
  augment: 'worker',
  decode: 'worker',
  checkShards: 'versions',
  onBadSample: 'skip',
  maxBadSamples: 0.01,
  decoder: 'wasm',
  draft: false,
  maxPixels: MAX_PIXELS,
  maxFieldBytes: 65_536,
  spans: 0,
} as const);
