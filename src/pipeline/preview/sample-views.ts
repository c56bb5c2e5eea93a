/** The views that training sees of a few samples: those that come first in an epoch, or the one of a key. */
import { createAugmenter } from '../augment/augmenter.js';
import { type Recipe, viewBytes, viewShape } from '../augment/recipe.js';
import { validateRecipe } from '../augment/validate.js';
import type { Batch, BatchView, SampleInfo } from '../batch/batch.js';
import { drawnPictures } from '../batch/plans.js';
import { createPipeline } from '../create-pipeline.js';
import { PIPELINE_DEFAULTS } from '../defaults.js';
import type { PipelineOptions } from '../options.js';
import { findShards } from '../source/index.js';
import { identityOf } from '../source/identity.js';
import { decodeProblem, loadImage } from '../worker/decode.js';
import { imagesOf, sampleOfKey } from './find-sample.js';
import { printable } from '../../common/printable.js';

/** What a run has, too: with the same values the views are the run's own. */
export interface SampleViewsOptions extends Pick<
  PipelineOptions,
  'shards' | 'cwd' | 'imageField' | 'labelField' | 'classNames' | 'indexDir' | 'draft' | 'maxPixels' | 'signal'
> {
  readonly recipe: Recipe;
  readonly seed: number;
  /** From 0. */
  readonly epoch: number;
}

/** Samples with their views; nothing of it lies in shared memory. */
export interface SampleViews extends Pick<SampleViewsOptions, 'recipe' | 'seed' | 'epoch'> {
  readonly samples: readonly SampleInfo[];
  /** As they lie in their shards, encoded. */
  readonly images: readonly Uint8Array[];
  /** As in a `Batch`. */
  readonly views: Readonly<Record<string, Pick<BatchView, 'data' | 'shape'>>>;
  readonly plans: Batch['plans'];
}

/** Threads that make so few views; a third takes longer to start than it saves. */
const WORKERS = 2;

async function locate({ shards, cwd, signal }: SampleViewsOptions): Promise<string[]> {
  const specs = typeof shards === 'string' ? [shards] : shards;
  const found = await findShards(specs, { ...(cwd !== undefined && { cwd }), ...(signal && { signal }) });
  return found.map(({ location }) => location);
}

function findOptions({ imageField, labelField, classNames, indexDir, signal }: SampleViewsOptions) {
  return { fields: { imageField, labelField, classNames }, indexDir, signal };
}

/**
 * The first `count` samples of the epoch, as a pipeline with these options and its defaults gives them.
 * @throws as `createPipeline` and its iteration do
 */
export async function firstSamples(options: SampleViewsOptions, count: number): Promise<SampleViews> {
  // An index is for finding images again: the order is that of a run without one, too.
  const { recipe, seed, epoch, indexDir: _, ...reading } = options;
  const resume = { epoch, step: 0, epochStart: 0, lanes: [{ taken: 0, good: 0 }] };
  const few = { batchSize: count, workers: WORKERS, slots: 2, checkShards: 'none' } as const;
  const pipeline = await createPipeline({ ...reading, recipe, seed, ...few, epochs: epoch + 1, resume });
  for await (const batch of pipeline) {
    const views = Object.entries(batch.views).map(([name, { data, shape }]) => [name, { data: data.slice(), shape }] as const);
    const places = batch.samples.map(({ shard, index }) => ({ shard: pipeline.shards.indexOf(shard), index }));
    const images = await imagesOf(await locate(options), places, findOptions(options));
    return { recipe, seed, epoch, samples: batch.samples, images, views: Object.fromEntries(views), plans: batch.plans };
  }
  throw new Error('the pipeline ended before its first batch');
}

/**
 * The sample of a key, which is looked up without decoding another.
 * @throws RangeError when no shard has it, Error when it cannot be decoded
 */
export async function sampleWithKey(options: SampleViewsOptions, key: string): Promise<SampleViews> {
  const { recipe, seed, epoch, draft = PIPELINE_DEFAULTS.draft, maxPixels = PIPELINE_DEFAULTS.maxPixels } = options;
  validateRecipe(recipe);
  const shards = await locate(options);
  const { shard, index, label, image, problem } = await sampleOfKey(shards, key, findOptions(options));
  const sample = { shard: identityOf(shards[shard] ?? ''), index, key, ...(label !== undefined && { label }) };
  const stream = { seed, epoch, shard, index };
  const augmenter = await createAugmenter(recipe);
  const loaded = await (problem === undefined ? Promise.resolve() : Promise.reject(new Error(problem)))
    .then(() =>
      loadImage(image, augmenter, {
        decoder: PIPELINE_DEFAULTS.decoder,
        maxPixels,
        shrink: (width, height) => augmenter.shrink(width, height, stream),
        ...(draft && { draft: (width: number, height: number) => augmenter.draft(width, height, stream) }),
      }),
    )
    .catch((error: unknown) => {
      const where = `the sample ${printable(key)} of ${printable(sample.shard)}`;
      throw new Error(`${where} is a bad one, which training leaves out: ${decodeProblem(error)}`, { cause: error });
    });
  const views = Object.fromEntries(
    Object.entries(recipe.views).map(([name, view]) => [name, { data: new Uint8Array(viewBytes(view)), shape: [1, ...viewShape(view)] }]),
  );
  loaded.render(stream, Object.fromEntries(Object.entries(views).map(([name, { data }]) => [name, data])));
  const plans = drawnPictures(recipe, { seed, epoch }, [{ image: loaded.size, shard, index }]);
  return { recipe, seed, epoch, samples: [sample], images: [image], views, plans };
}
