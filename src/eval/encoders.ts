/** Of two encoders that learn together, which: `key` is the momentum copy, which BYOL calls the target. */
export const ENCODERS = ['query', 'key'] as const;
export type Encoder = (typeof ENCODERS)[number];

/** What stands for weights that nobody has trained, where a checkpoint is asked for. */
export const RANDOM = 'random';
