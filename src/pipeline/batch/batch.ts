/** `Batch`: the one contract between the pipeline and whatever trains on it. */
import type { PendingView } from '../augment/defer.js';
import type { BatchShape, Views } from '../augment/recipe.js';
import type { DrawnPicture } from './plans.js';

/** One view of every sample of a batch: uint8 RGB, NHWC, over shared memory that belongs to a leased slot. */
export interface BatchView<Shape extends readonly number[] = readonly number[]> {
  /** `size` samples back to back; valid until the batch is released. */
  readonly data: Uint8Array;
  /** [N, H, W, 3] for an image view, [N, 9, H, W, 3] for a jigsaw view, [N, crops, H, W, 3] for a multicrop view, [N, 4, H, W, 3] for rotations. */
  readonly shape: Shape;
  /**
   * With `augment: 'device'`: what the consumer has still to do to each of the N samples, of a multicrop view to each of the N x crops
   * pictures as they lie in `data`. A jigsaw view is then its uncut canvas, and one of rotations the picture once, [N, H, W, 3].
   */
  readonly pending?: readonly PendingView[];
}

/** A JPEG that the decoders in NVIDIA's GPUs take: baseline, 8 bits, one scan, grey or YCbCr 4:4:4, 4:2:2, 4:2:0 or 4:4:0. */
export interface CompressedImage {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** The file, over shared memory; valid until the batch is released. */
  readonly data: Uint8Array;
}

/** Where a sample came from. */
export interface SampleInfo {
  /** Path or URL of the shard, without login and signature. */
  readonly shard: string;
  /** Ordinal of the sample in its shard, from 0. */
  readonly index: number;
  /** Of the sample among those of all shards in their order, from 0; with option `ordinals`. */
  readonly ordinal?: number;
  /** WebDataset key: the member's path up to the first dot of its base name. */
  readonly key: string;
  /** Class index, when the shard has one (`KEY.cls`). */
  readonly label?: number;
  /** Content of the fields that option `fields` asks for, by name in lower case; those that the sample has. Copies, the caller's to keep. */
  readonly fields?: Readonly<Record<string, Uint8Array>>;
}

/** Everything a pipeline needs to continue after a batch: a few integers a lane. */
export interface PipelineState {
  readonly epoch: number;
  /** Steps done since the first epoch. */
  readonly step: number;
  /** Steps done when this epoch began. */
  readonly epochStart: number;
  /** One entry for every lane of all ranks: samples taken from its stream, of which good. A rank moves its own lanes. */
  readonly lanes: readonly { readonly taken: number; readonly good: number }[];
  /** Ranks that made the steps; 1 when absent. */
  readonly worldSize?: number;
  /** Samples of a step of one rank. */
  readonly batchSize?: number;
  /** How the epoch is divided among lanes; by shards when absent. */
  readonly divide?: 'shards' | 'samples';
}

/** `Named` are the views that it holds, where the recipe's type says so. */
export interface Batch<Named extends Views = Views> {
  /** From 0. */
  readonly epoch: number;
  /** From 0, counted over all epochs. */
  readonly step: number;
  /** Samples in the batch, N. */
  readonly size: number;
  readonly views: { readonly [Name in keyof Named]: BatchView<BatchShape<Named[Name]>> };
  readonly samples: readonly SampleInfo[];
  /**
   * With `decode: 'device'`: the image of each sample that a GPU can decode. The sample's rows of the views then hold nothing yet, and the `crop`
   * of their `pending` says what to cut out of it; `decodeCompressed` does both. Undefined for a sample that its worker has decoded.
   */
  readonly compressed?: readonly (CompressedImage | undefined)[];
  /**
   * How each view was made, a picture a sample; of a multicrop view a picture a crop, in the order of `data`. Worked out when it is
   * first read, also after the release.
   */
  readonly plans: { readonly [Name in keyof Named]: readonly DrawnPicture[] };
  /** The state to resume from so that the next batch is the one after this. */
  readonly state: PipelineState;
  /** Keeps the slot past the next iteration step; `release()` is then the caller's to call. */
  retain(): void;
  /** Gives the slot back to the workers; the views must not be read after it. Calling it again does nothing. */
  release(): void;
}
