/** What short names in metrics mean, for who has not read the paper of the method. */

/** Terms of the loss, by their names before the stage. */
export const TERMS: ReadonlyMap<string, string> = new Map([
  ['gg', 'whole image against whole images'],
  ['ll', 'patch set against patch sets'],
  ['gl', 'patch set against whole images'],
  ['global', 'whole image against whole images'],
  ['dense', 'place in an image against places in images'],
  ['view1', 'first view against the second'],
  ['view2', 'second view against the first'],
]);

/** What waits between the stages of the pipeline. */
export const QUEUES: ReadonlyMap<string, string> = new Map([
  ['compressed', 'samples in the shuffle buffers'],
  ['decoding', 'images in the decoder'],
  ['decoded', 'samples that wait for their batch'],
  ['full', 'batches ready for an update'],
]);

export const STAGE = /^res\d+$/;
export const STAGES = 'res2 to res5: stages of the backbone';

export const EFFECTIVE_RANK = 'effective rank: from 1 to the dimensions of the features';
export const QUERY_DEVIATION = 'deviation of queries: 1/√dimensions if they are spread, 0 if they are all alike';
export const FEATURE_DEVIATION = 'deviation of features: 0 if they are all alike';
