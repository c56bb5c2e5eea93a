/**
 * What TypeScript knows of `detco/pipeline`. Compiled and never run: by `npm run check:types` here, and by scripts/check-install.mjs
 * against the package as it is installed. test/pipeline/types.test.ts holds real batches to these types.
 */
import { expectTypeOf } from 'expect-type';
import * as root from 'detco';
import {
  type BadSample,
  type Batch,
  type BatchView,
  type CropViews,
  type ImageAndPatches,
  createPipeline,
  type DrawnPicture,
  type FoundShard,
  type ImageView,
  type JigsawView,
  joinStates,
  type MultiCropView,
  type PlacedView,
  nextEpoch,
  type Operation,
  type PendingView,
  type Pipeline,
  PIPELINE_DEFAULTS,
  type PipelineMeters,
  type PipelineOptions,
  type PipelineState,
  type Recipe,
  recipes,
  type RotationsView,
  type SampleInfo,
  type Span,
  type View,
  viewBytes,
  type Views,
  viewShape,
} from 'detco/pipeline';

type ImageShape = readonly [samples: number, height: number, width: number, channels: 3];
type JigsawShape = readonly [samples: number, patches: 9, height: number, width: number, channels: 3];
type MultiCropShape = readonly [samples: number, crops: number, height: number, width: number, channels: 3];

const needed = { shards: 'train-000.tar', recipe: recipes.detco(), batchSize: 8 };

expectTypeOf(root.createPipeline).toEqualTypeOf<typeof createPipeline>();

/* Options: three are needed, each other one has its type, and none may be misspelt. */
expectTypeOf(needed).toExtend<PipelineOptions>();
expectTypeOf<{ [K in keyof PipelineOptions as undefined extends PipelineOptions[K] ? never : K]: 0 }>().toEqualTypeOf<{
  readonly shards: 0;
  readonly recipe: 0;
  readonly batchSize: 0;
}>();
expectTypeOf<PipelineOptions['shards']>().toEqualTypeOf<string | readonly string[]>();
expectTypeOf<PipelineOptions['shuffle']>().toEqualTypeOf<number | boolean | undefined>();
expectTypeOf<PipelineOptions['augment']>().toEqualTypeOf<'worker' | 'device' | undefined>();
expectTypeOf<PipelineOptions['onBadSample']>().toEqualTypeOf<'skip' | 'fail' | undefined>();
expectTypeOf<PipelineOptions['decoder']>().toEqualTypeOf<'wasm' | 'sharp' | undefined>();
expectTypeOf<PipelineOptions['cacheSize']>().toEqualTypeOf<number | string | undefined>();
expectTypeOf<PipelineOptions['resume']>().toEqualTypeOf<PipelineState | undefined>();
expectTypeOf<PipelineOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>();
expectTypeOf<NonNullable<PipelineOptions['onBad']>>().parameter(0).toEqualTypeOf<BadSample>();
expectTypeOf(PIPELINE_DEFAULTS).toExtend<Partial<PipelineOptions>>();

export function refused(): void {
  // @ts-expect-error without shards
  void createPipeline({ recipe: recipes.detco(), batchSize: 8 });
  // @ts-expect-error without a recipe
  void createPipeline({ shards: 'train-000.tar', batchSize: 8 });
  // @ts-expect-error without a batch size
  void createPipeline({ shards: 'train-000.tar', recipe: recipes.detco() });
  // @ts-expect-error a misspelt option
  void createPipeline({ ...needed, batchsize: 8 });
  // @ts-expect-error text for a number
  void createPipeline({ ...needed, workers: '4' });
  // @ts-expect-error another place to augment
  void createPipeline({ ...needed, augment: 'gpu' });
  // @ts-expect-error a recipe by its name
  void createPipeline({ ...needed, recipe: 'detco' });
  // @ts-expect-error an option that the recipe does not have
  void recipes.mocoV2({ patchSize: 32 });
  // @ts-expect-error an operation that does not exist
  expectTypeOf({ op: 'invert', p: 0.5 } as const).toExtend<Operation>();
}

/* A pipeline, and what it hands out. */
const pipeline = await createPipeline(needed);
expectTypeOf(pipeline).toExtend<Pipeline>();
expectTypeOf(pipeline).toExtend<AsyncIterable<Batch> & AsyncDisposable>();
expectTypeOf(pipeline.meters()).toEqualTypeOf<PipelineMeters>();
expectTypeOf(pipeline.spans()).toEqualTypeOf<Span[]>();
expectTypeOf(pipeline.found()).toEqualTypeOf<FoundShard[]>();
for await (const batch of pipeline) {
  expectTypeOf(batch).toExtend<Batch>();
  expectTypeOf<keyof typeof batch.views>().toEqualTypeOf<'globalQ' | 'globalK' | 'patchesQ' | 'patchesK'>();
  expectTypeOf(batch.views.globalQ).toEqualTypeOf<BatchView<ImageShape>>();
  expectTypeOf(batch.views.patchesK).toEqualTypeOf<BatchView<JigsawShape>>();
  expectTypeOf(batch.views.globalQ.data).toEqualTypeOf<Uint8Array>();
  expectTypeOf(batch.views.globalQ.pending).toEqualTypeOf<readonly PendingView[] | undefined>();
  expectTypeOf(batch.samples).toEqualTypeOf<readonly SampleInfo[]>();
  expectTypeOf(batch.samples[0]?.label).toEqualTypeOf<number | undefined>();
  expectTypeOf(batch.plans.patchesQ).toEqualTypeOf<readonly DrawnPicture[]>();
  expectTypeOf(batch.state).toEqualTypeOf<PipelineState>();
  expectTypeOf(batch.retain).toEqualTypeOf<() => void>();
  expectTypeOf(batch.release).toEqualTypeOf<() => void>();
  // @ts-expect-error a view that the recipe does not make
  void batch.views.view1;
  // @ts-expect-error the views are read
  batch.views = {};
}
for await (const { views } of await createPipeline({ ...needed, augment: 'device' })) {
  expectTypeOf(views.patchesQ.shape).toEqualTypeOf<ImageShape>();
}
expectTypeOf(joinStates).returns.toEqualTypeOf<PipelineState>();
expectTypeOf(nextEpoch).returns.toEqualTypeOf<PipelineState>();

/* Recipes: what each makes, and one's own. */
expectTypeOf(recipes.detco({ globalSize: 32, patchSize: 16, randAugment: false }).views.patchesQ).toEqualTypeOf<JigsawView>();
expectTypeOf(recipes.mocoV1().views).toEqualTypeOf<{ readonly globalQ: ImageView; readonly globalK: ImageView }>();
expectTypeOf(recipes.mocoV2()).toEqualTypeOf(recipes.mocoV1());
expectTypeOf(recipes.simclr({ strength: 0.5 }).views).toEqualTypeOf<{ readonly view1: ImageView; readonly view2: ImageView }>();
expectTypeOf(recipes.byol()).toEqualTypeOf(recipes.simclr());
expectTypeOf(recipes.swav({ localSize: 24, crops: 4 }).views).toEqualTypeOf<CropViews>();
expectTypeOf(recipes.pirl({ patchSize: 32 }).views).toEqualTypeOf<ImageAndPatches>();
expectTypeOf(recipes.rotation().views.rotations).toEqualTypeOf<RotationsView>();
expectTypeOf(recipes.insloc().views.foregroundK).toEqualTypeOf<PlacedView>();
expectTypeOf(recipes.insloc().views.backgroundK).toEqualTypeOf<ImageView>();
expectTypeOf(recipes.evaluation().views).toEqualTypeOf<{ readonly image: ImageView }>();
expectTypeOf(recipes.detco()).toExtend<Recipe>();
expectTypeOf<Recipe['views']>().toEqualTypeOf<Views>();
expectTypeOf<View>().toEqualTypeOf<ImageView | JigsawView | MultiCropView | RotationsView | PlacedView>();
expectTypeOf(viewShape).toEqualTypeOf<(view: View) => readonly number[]>();
expectTypeOf(viewBytes).toEqualTypeOf<(view: View) => number>();

const { view1 } = recipes.simclr().views;
const crop = { op: 'randomResizedCrop', scale: [0.05, 0.14], ratio: [3 / 4, 4 / 3] } as const;
const small = { ...view1, kind: 'multicrop', crops: 6, size: 96, crop } as const;
for await (const { views } of await createPipeline({ ...needed, recipe: { name: 'mine', views: { view1, small } } })) {
  expectTypeOf<keyof typeof views>().toEqualTypeOf<'view1' | 'small'>();
  expectTypeOf(views.small.shape).toEqualTypeOf<MultiCropShape>();
}
const unknown: Recipe = recipes.byol();
for await (const { views } of await createPipeline({ ...needed, recipe: unknown })) {
  expectTypeOf(views).toEqualTypeOf<Readonly<Record<string, BatchView>>>();
}
