/**
 * `detco/pipeline`: tar shards in, batches of contrastive views out. It loads no tensor library.
 *
 * The story of a sample, in folder order: `source/` streams the bytes of a shard from disk, HTTP or S3; `shard/` cuts
 * them into samples; `plan/` says whose turn it is; `worker/` decodes in a Piscina worker; `augment/` cuts the views;
 * `batch/` is the shared memory they are written to and leased from.
 */
export { createPipeline } from './create-pipeline.js';
export type { Pipeline } from './pipeline.js';
export { PIPELINE_DEFAULTS } from './defaults.js';
export type { PipelineOptions } from './options.js';
export { joinStates, nextEpoch } from './plan/state.js';
export { decodeCompressed } from './batch/decode-compressed.js';
export type { Batch, BatchView, CompressedImage, PipelineState, SampleInfo } from './batch/batch.js';
export type { DrawnPicture } from './batch/plans.js';
export { ShardError } from './shard/shard-error.js';
export type { CheckShards, ComparedShards, RewrittenShards } from './shard/same-shards.js';
export { type CacheEvent, type FoundShard, type RetryEvent, SourceError } from './source/index.js';
export type { LeftOut, LeftOutKind, ShardLeftOut } from './shard/left-out.js';
export type { BadSample } from './worker/lane.js';
export type { Span, StageTotals } from './profile/meters.js';
export type { LoopTotals, PipelineMeters, PipelineSetup, Totals } from './profile/snapshot.js';
export type { PendingCrop, PendingView } from './augment/defer.js';
export type { JigsawPlan, Step } from './augment/parameters.js';
export { recipes } from './augment/checked-recipes.js';
export { viewBytes, viewShape } from './augment/recipe.js';
export type { ImageView, JigsawView, MultiCropView, Operation, PlacedView, Recipe, RotationsView, View, Views } from './augment/recipe.js';
export type { CropViews, ImageAndPatches, GlobalViews, PastedViews, PatchViews, TwoViews } from './augment/recipes.js';
