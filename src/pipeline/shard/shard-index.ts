/** The index of a shard: where each of its samples lies, so that any of them can be fetched by itself. */

/** One sample of a shard, in the order of the shard. */
export interface IndexedSample {
  /** WebDataset key: the member's path up to the first dot of its base name. */
  readonly key: string;
  /** Byte of the shard at which the sample's first member begins, headers included; reading can begin here. */
  readonly start: number;
  /** Byte at which the encoded image begins, and its length. */
  readonly offset: number;
  readonly size: number;
  /** CRC-32 of the encoded image. */
  readonly crc: number;
  /** Class index, when the shard has one. */
  readonly label?: number;
  /** Why this is a bad sample although the archive is sound. */
  readonly problem?: string;
}

/** What is known of a shard once it has been read from end to end. */
export interface ShardIndex {
  /** Path or URL of the shard. */
  readonly location: string;
  /** Length of the shard. */
  readonly bytes: number;
  readonly samples: readonly IndexedSample[];
}
