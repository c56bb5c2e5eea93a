/** Labelled images of shards as an evaluation sees them: centre crops, the same ones in the same order each time. */
import { PIPELINE_DEFAULTS } from '../pipeline/defaults.js';
import { estimateImages } from '../pipeline/extent.js';
import { createPipeline, type PipelineOptions, recipes } from '../pipeline/index.js';
import type { ReadLabel } from './labels.js';

/** Options of a run that hold for the images of its evaluations as they are. */
export const IMAGE_OPTIONS = ['cacheDir', 'cacheSize', 'decoder', 'maxPixels', 'decodeMemory', 'workers'] as const;

export interface ImageOptions<Label = number> extends Pick<
  PipelineOptions,
  | (typeof IMAGE_OPTIONS)[number]
  | 'checkShards'
  | 'cwd'
  | 'skipShards'
  | 'imageField'
  | 'labelField'
  | 'classNames'
  | 'fields'
  | 'onLeftOut'
> {
  readonly shards: readonly string[];
  /** Samples without a label are passed over. */
  readonly label: ReadLabel<Label>;
  /** Side of the centre crop, pixels. */
  readonly globalSize: number;
  /** Images to take at most, chosen by the shuffle of a fixed seed. */
  readonly limit: number;
  /** Images a block. */
  readonly batch: number;
  /** Where several processes share the images: which part of the shards is for this one. */
  readonly share?: { readonly rank: number; readonly size: number };
}

export interface ImageBlock<Label = number> {
  readonly pixels: Uint8Array;
  /** [labels.length, globalSize, globalSize, 3], RGB. */
  readonly shape: readonly [number, number, number, number];
  readonly labels: readonly Label[];
}

/** What is kept for the next evaluation at most: 3500 crops of 224 pixels. */
const KEPT_BYTES = 512 * 2 ** 20;

/** Reads the shards once and gives what they had ever after, unless that is too much to keep. */
export class EvaluationImages<Label = number> {
  readonly #options: ImageOptions<Label>;
  #kept: readonly ImageBlock<Label>[] | undefined;
  #expected: number | undefined;
  #estimated = false;
  #unlabelled = 0;

  constructor(options: ImageOptions<Label>) {
    this.#options = options;
  }

  get shards(): readonly string[] {
    return this.#options.shards;
  }

  /** How many there will be, estimated while the shards are read for the first time; undefined where nobody knows. */
  get expected(): number | undefined {
    return this.#expected;
  }

  /** Whether `expected` is an estimate, and not the limit. */
  get estimated(): boolean {
    return this.#estimated;
  }

  /** How many samples were passed over, for they have no label, in the last reading. */
  get unlabelled(): number {
    return this.#unlabelled;
  }

  async *blocks(signal?: AbortSignal): AsyncGenerator<ImageBlock<Label>> {
    if (this.#kept !== undefined) return yield* this.#kept;
    const read: ImageBlock<Label>[] = [];
    let bytes = 0;
    for await (const block of this.#read(signal)) {
      bytes += block.pixels.length;
      if (bytes <= KEPT_BYTES) read.push(block);
      yield block;
    }
    if (bytes <= KEPT_BYTES) this.#kept = read;
  }

  async *#read(signal: AbortSignal | undefined): AsyncGenerator<ImageBlock<Label>> {
    const { shards, label: labelOf, globalSize, limit, batch: batchSize, share = { rank: 0, size: 1 }, ...rest } = this.#options;
    const { rank, size: worldSize } = share;
    const lanes = Math.ceil(PIPELINE_DEFAULTS.lanes / worldSize) * worldSize;
    await using pipeline = await createPipeline({
      ...rest,
      shards,
      rank,
      worldSize,
      divide: 'shards',
      lanes,
      ...(rest.workers && { workers: Math.min(rest.workers, lanes / worldSize) }),
      recipe: recipes.evaluation({ globalSize }),
      batchSize,
      dropLast: false,
      slots: 2,
      ...(signal && { signal }),
    });
    this.#unlabelled = 0;
    // Lanes are taken in turn, so those of a rank have its share of the first images.
    let left = Math.floor((limit + worldSize - 1 - rank) / worldSize);
    for await (const batch of pipeline) {
      const view = batch.views['image'];
      if (view === undefined) throw new Error('the evaluation recipe made no view "image"');
      if (this.#expected === undefined) {
        const { imageField, labelField, classNames, skipShards = [] } = this.#options;
        const images = await estimateImages(pipeline, '', { imageField, labelField, classNames }, [skipShards].flat());
        this.#expected = images === undefined ? undefined : Math.min(images, limit);
        this.#estimated = images !== undefined && images < limit;
      }
      const size = globalSize * globalSize * 3;
      const known = batch.samples
        .flatMap((sample, row) => {
          const label = labelOf(sample);
          if (label !== undefined) return [{ label, row }];
          this.#unlabelled++;
          return [];
        })
        .slice(0, left);
      const pixels = new Uint8Array(known.length * size);
      for (const [index, { row }] of known.entries()) pixels.set(view.data.subarray(row * size, (row + 1) * size), index * size);
      batch.release();
      left -= known.length;
      if (known.length > 0) yield { pixels, shape: [known.length, globalSize, globalSize, 3], labels: known.map(({ label }) => label) };
      if (left === 0) return;
    }
  }
}
