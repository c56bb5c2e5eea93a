/** What `makeShards` is told. */

export interface MakeShardsOptions {
  /** An ImageFolder, a list of image files, or tar archives: paths, http(s):// or s3:// URLs. */
  readonly source: string;
  /** Folder of the shards; made when absent. A set of the same options in it is gone on with. */
  readonly dir: string;
  /** Shards are named `PREFIX-NUMBER.tar`. */
  readonly prefix: string;
  /** The most images in a shard. */
  readonly perShard: number;
  /** Pixels of the shorter side above which images are made smaller; all keep their bytes without it. */
  readonly resizeShort?: number;
  /** JPEG quality of those, 1..100. */
  readonly quality: number;
  /** Of the shuffle; the order of the source is kept without it. */
  readonly seed?: number;
  /** Pixels above which an image is bad. Default 67108864. */
  readonly maxPixels?: number;
  /** Bytes that images may take while they are decoded. Default: an eighth of the memory that the process may use. */
  readonly decodeMemory?: number;
  /** Images that are decoded at once. Changes speed, never the result. */
  readonly workers: number;
  /** Bytes read from archives between two places to go on from. Default 64 MiB. */
  readonly checkpointBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ShardingProgress) => void;
}

export interface ShardingProgress {
  /** Images done, those of an earlier run included. */
  readonly images: number;
  /** Part of the work that is done, 0..1. */
  readonly share: number;
}
