/** Labelled images of shards as an evaluation sees them: centre crops, the same ones in the same order each time. */
import { PIPELINE_DEFAULTS } from '../pipeline/defaults.js';
import { estimateImages } from '../pipeline/extent.js';
import { createPipeline, type Pipeline, type PipelineOptions, recipes } from '../pipeline/index.js';
import type { PipelineState, SampleInfo } from '../pipeline/batch/batch.js';
import { firstOf, firstOfAll, type Row, turnsOf } from './first-images.js';
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
  /** Where several processes share the images. */
  readonly share?: ImageShare;
}

/** Which part of the images is for this process; all of them come to the end of the first reading. */
export interface ImageShare {
  readonly rank: number;
  readonly size: number;
  /** What each process says, in their order. */
  exchange<T>(said: T): Promise<T[]>;
}

export interface ImageBlock<Label = number> {
  readonly pixels: Uint8Array;
  /** [labels.length, globalSize, globalSize, 3], RGB. */
  readonly shape: readonly [number, number, number, number];
  readonly labels: readonly Label[];
}

/** A labelled image. */
interface Crop<Label> {
  readonly label: Label;
  readonly pixels: Uint8Array;
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
  /** How many this process takes, once it has read to the end. */
  #taken: number | undefined;

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
    const { limit, share } = this.#options;
    const lanes = lanesOf(share);
    const all = this.#rows(lanes, signal);
    // What processes agreed on once holds for every reading: one of them may have kept its images.
    const agrees = share && this.#taken === undefined;
    const first = agrees ? firstOfAll(all, { limit, lanes, exchange: (said) => share.exchange(said) }) : firstOf(all, this.#taken ?? limit);
    let taken = 0;
    for await (const images of first) {
      taken += images.length;
      yield blockOf(images, this.#options.globalSize);
    }
    this.#taken = taken;
  }

  /** All samples, batch by batch, in the order of their turns. */
  async *#rows(lanes: number, signal: AbortSignal | undefined): AsyncGenerator<Row<Crop<Label>>[]> {
    const { shards, label: labelOf, globalSize, limit: _limit, batch: batchSize, share, ...rest } = this.#options;
    const { rank, size: worldSize } = share ?? { rank: 0, size: 1 };
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
    let before: PipelineState['lanes'] | undefined;
    for await (const batch of pipeline) {
      const view = batch.views['image'];
      if (view === undefined) throw new Error('the evaluation recipe made no view "image"');
      if (this.#expected === undefined) await this.#estimate(pipeline);
      const bytes = globalSize * globalSize * 3;
      const rows = turnsOf(before, batch.state.lanes).map(({ round, lane }, row): Row<Crop<Label>> => {
        const label = labelOf(batch.samples[row] as SampleInfo);
        if (label === undefined) this.#unlabelled++;
        const image = label === undefined ? undefined : { label, pixels: view.data.slice(row * bytes, (row + 1) * bytes) };
        return { round, lane, image };
      });
      batch.release();
      before = batch.state.lanes;
      yield rows;
    }
  }

  async #estimate(pipeline: Pipeline): Promise<void> {
    const { imageField, labelField, classNames, skipShards = [], limit } = this.#options;
    const images = await estimateImages(pipeline, '', { imageField, labelField, classNames }, [skipShards].flat());
    this.#expected = images === undefined ? undefined : Math.min(images, limit);
    this.#estimated = images !== undefined && images < limit;
  }
}

function blockOf<Label>(images: readonly Crop<Label>[], side: number): ImageBlock<Label> {
  const bytes = side * side * 3;
  const pixels = new Uint8Array(images.length * bytes);
  for (const [index, image] of images.entries()) pixels.set(image.pixels, index * bytes);
  return { pixels, shape: [images.length, side, side, 3], labels: images.map(({ label }) => label) };
}

/** Of all processes: as many as one has, where they can be shared. */
function lanesOf({ size } = { size: 1 }): number {
  return Math.ceil(PIPELINE_DEFAULTS.lanes / size) * size;
}
