/** Sizes beyond which a network is a slip of the keyboard; what memory allows is less on most machines. */

/** Keys in a queue. With 128 dimensions they take 8.6 GB. */
export const MOST_KEYS = 1 << 24;
/** Channels of a layer, or dimensions of an embedding. */
export const MOST_CHANNELS = 1 << 16;
