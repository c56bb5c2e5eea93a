/** What TypeScript knows of a batch from its recipe (`npm run check:types`), and that real batches hold to it. */
import { expect, test } from '@jest/globals';
import { expectTypeOf } from 'expect-type';
import {
  type Batch,
  type BatchView,
  createPipeline,
  type DrawnPicture,
  type MultiCropView,
  type Pipeline,
  type PipelineOptions,
  type Recipe,
  recipes,
} from '#dist/pipeline/index.js';
import { FIXTURE } from '../support/images.js';

type ImageShape = readonly [samples: number, height: number, width: number, channels: 3];
type JigsawShape = readonly [samples: number, patches: 9, height: number, width: number, channels: 3];
type MultiCropShape = readonly [samples: number, crops: number, height: number, width: number, channels: 3];

const run = { shards: FIXTURE, batchSize: 2, workers: 1, lanes: 1 };
const sizes = { globalSize: 16, patchSize: 8 };

async function first<B extends Batch>(pipeline: AsyncIterable<B>): Promise<B> {
  for await (const batch of pipeline) return batch;
  throw new Error('no batch');
}

test('a built-in recipe gives its views by name, each with the shape of its kind', async () => {
  const { views, plans } = await first(await createPipeline({ ...run, recipe: recipes.detco(sizes) }));
  expectTypeOf<keyof typeof views>().toEqualTypeOf<'globalQ' | 'globalK' | 'patchesQ' | 'patchesK'>();
  expectTypeOf<typeof views.globalQ.shape>().toEqualTypeOf<ImageShape>();
  expectTypeOf<typeof views.patchesK.shape>().toEqualTypeOf<JigsawShape>();
  expectTypeOf<typeof plans.patchesQ>().toEqualTypeOf<readonly DrawnPicture[]>();
  // @ts-expect-error a view that the recipe does not make
  expect(views.globalX).toBeUndefined();
  const [samples, patches, height, width, channels] = views.patchesQ.shape;
  expect([samples, patches, height, width, channels]).toEqual([2, 9, 8, 8, 3]);
});

test('a recipe written in place gives the names and kinds that were written', async () => {
  const { view1, view2 } = recipes.byol({ globalSize: 16 }).views;
  const crop = { op: 'randomResizedCrop', scale: [0.05, 0.14], ratio: [3 / 4, 4 / 3] } as const;
  const small: MultiCropView = { kind: 'multicrop', crops: 3, size: 12, crop, operations: view2.operations };
  const { views } = await first(await createPipeline({ ...run, recipe: { name: 'mine', views: { view1, small } } }));
  expectTypeOf<keyof typeof views>().toEqualTypeOf<'view1' | 'small'>();
  expectTypeOf<typeof views.small.shape>().toEqualTypeOf<MultiCropShape>();
  expect(views.small.shape).toEqual([2, 3, 12, 12, 3]);
});

test('turns are a view of their own kind, which is written once where a device turns', async () => {
  const recipe = recipes.rotation({ globalSize: 16 });
  const { views } = await first(await createPipeline({ ...run, recipe }));
  expectTypeOf<typeof views.rotations.shape>().toEqualTypeOf<
    readonly [samples: number, turns: 4, height: number, width: number, channels: 3]
  >();
  expect(views.rotations.shape).toEqual([2, 4, 16, 16, 3]);
  const left = await first(await createPipeline({ ...run, recipe, augment: 'device' }));
  expectTypeOf<typeof left.views.rotations.shape>().toEqualTypeOf<ImageShape>();
});

test('a jigsaw view that is left to a device has the shape of its canvas', async () => {
  const { views } = await first(await createPipeline({ ...run, recipe: recipes.detco(sizes), augment: 'device' }));
  expectTypeOf<typeof views.patchesQ.shape>().toEqualTypeOf<ImageShape>();
  expect(views.patchesQ.shape).toEqual([2, 33, 33, 3]);
});

test.each(['worker', 'device'] as const)('where it is open who augments, %s too, a jigsaw view may have either shape', async (augment) => {
  const either = await first(await createPipeline({ ...run, recipe: recipes.detco(sizes), augment }));
  expectTypeOf<typeof either.views.patchesQ.shape>().toEqualTypeOf<ImageShape | JigsawShape>();
  expectTypeOf<typeof either.views.globalQ.shape>().toEqualTypeOf<ImageShape>();
  expect(either.views.patchesQ.shape).toHaveLength(augment === 'device' ? 4 : 5);
});

test('a recipe of which nothing is known gives views by any name, with some shape', async () => {
  const recipe: Recipe = recipes.mocoV2({ globalSize: 16 });
  const options: PipelineOptions = { ...run, recipe };
  const pipeline: Pipeline = await createPipeline(options);
  const { views } = await first(pipeline);
  expectTypeOf<typeof views>().toEqualTypeOf<Readonly<Record<string, BatchView>>>();
  expectTypeOf<BatchView['shape']>().toEqualTypeOf<readonly number[]>();
  expect(views['globalK']?.shape).toEqual([2, 16, 16, 3]);
  expect(views['globalX']).toBeUndefined();
});

test('a batch of known views can be given where any batch is taken', async () => {
  const batch: Batch = await first(await createPipeline({ ...run, recipe: recipes.simclr({ globalSize: 16 }) }));
  expect(Object.keys(batch.views)).toEqual(['view1', 'view2']);
});
