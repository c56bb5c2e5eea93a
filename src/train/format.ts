/** Versions of what a run leaves: `state.json`, the names and layouts of tensors, and `config.json`. */

export const CHECKPOINT_FORMAT = 2;
/** Of the runs that were made while detco had one method and did not name it. */
export const FIRST_FORMAT = 1;
export const FIRST_METHOD = 'detco';
