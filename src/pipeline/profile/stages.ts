/** The stages of the pipeline by name: what is timed, and what a lane can be held up by. */

/**
 * Every visit of a sample to one of these is counted and timed. `source`, `tar`, `decode` and `augment` do work; the
 * others wait for something: a compressed sample (`shuffle`), a decoded one (`decoded`), the other lanes (`turn`), a
 * free slot (`slot`). On the consumer's thread: `handoff` from the last row of a batch to the consumer that runs again,
 * `wait` in `next()`, `first` the same for the first batch of an epoch, `step` what the consumer does with a batch.
 * After them comes one stage a view: `augment.globalQ` and so on.
 */
export const STAGES = [
  'source',
  'tar',
  'shuffle',
  'decode',
  'decoded',
  'turn',
  'slot',
  'augment',
  'handoff',
  'wait',
  'first',
  'step',
] as const;

export type StageName = (typeof STAGES)[number];

/** Place of each stage in the meters. */
export const STAGE = Object.freeze(Object.fromEntries(STAGES.map((name, index) => [name, index])) as Record<StageName, number>);

/** Name of the stage that renders a view. */
export const viewStage = (view: string): string => `augment.${view}`;

/**
 * What keeps a lane from its next row, at any instant exactly one of these: bytes, the tar parser, the decoder, the
 * other lanes, a free slot, its own rendering, or the worker's thread, which is busy with another lane.
 */
export const LANE_STATES = ['source', 'tar', 'decode', 'loop', 'turn', 'slot', 'augment'] as const;

export type LaneState = (typeof LANE_STATES)[number];

/** What waits between the stages: compressed samples, images in the decoder, decoded samples. */
export const QUEUES = ['compressed', 'decoding', 'decoded'] as const;

export type QueueName = (typeof QUEUES)[number];

export const QUEUE = Object.freeze(Object.fromEntries(QUEUES.map((name, index) => [name, index])) as Record<QueueName, number>);
