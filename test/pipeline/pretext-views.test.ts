/** Views in CIELAB and views with masks, as batches have them: whoever makes them, with whatever is left to a device. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toLabBytes } from '#dist/common/lab.js';
import { createPipeline, type Operation, type PipelineOptions, type Recipe, recipes } from '#dist/pipeline/index.js';
import { writeTestShards } from '../support/shards.js';

let folder: string;
let shards: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-pretexts-'));
  shards = await writeTestShards(folder, { counts: [5, 3] });
});
afterAll(() => rm(folder, { recursive: true }));

const { lab } = recipes.colorization({ globalSize: 24 }).views;
const { masked } = recipes.inpainting({ globalSize: 24 }).views;
const recipe = { name: 'pretexts', views: { lab, masked } };

/** The same views, drawn alike, without the operations that the function drops. */
function without(dropped: (operation: Operation) => boolean): Recipe {
  const kept = (operations: readonly Operation[]) => operations.filter((operation) => !dropped(operation));
  return {
    name: 'plain',
    views: { lab: { ...lab, operations: kept(lab.operations) }, masked: { ...masked, operations: kept(masked.operations) } },
  };
}

async function batches(options: Partial<PipelineOptions> = {}) {
  const found = [];
  await using pipeline = await createPipeline({ shards, recipe, batchSize: 4, seed: 3, epochs: 2, workers: 1, lanes: 2, ...options });
  for await (const batch of pipeline) {
    const views = Object.entries(batch.views).map(([name, { data, pending }]) => [name, { data: Buffer.from(data), pending }] as const);
    found.push({ views: Object.fromEntries(views), plans: batch.plans, state: batch.state });
    batch.release();
  }
  return found;
}

const pixelsOf = (found: Awaited<ReturnType<typeof batches>>, view: string) => found.map(({ views }) => views[view]?.data);

test('are the same with two workers, and after a resume', async () => {
  const whole = await batches();
  expect(whole).toHaveLength(4);
  const parallel = await batches({ workers: 2 });
  const resumed = await batches({ resume: whole[1]?.state });
  for (const view of ['lab', 'masked']) {
    expect(pixelsOf(parallel, view)).toEqual(pixelsOf(whole, view));
    expect(pixelsOf(resumed, view)).toEqual(pixelsOf(whole, view).slice(2));
  }
  expect(resumed.map(({ plans }) => plans)).toEqual(whole.slice(2).map(({ plans }) => plans));
});

test('Lab is of the picture that there would be without it, and a mask changes no pixel of it', async () => {
  const [found, plain] = await Promise.all([batches(), batches({ recipe: without(({ op }) => op === 'lab' || op === 'mask') })]);
  expect(pixelsOf(found, 'masked')).toEqual(pixelsOf(plain, 'masked'));
  for (const pixels of pixelsOf(plain, 'lab')) toLabBytes(pixels ?? new Uint8Array());
  expect(pixelsOf(found, 'lab')).toEqual(pixelsOf(plain, 'lab'));
});

test('plans have the masks of each picture, and no other picture has any', async () => {
  const [first] = await batches();
  const pictures = first?.plans['masked'] ?? [];
  expect(pictures).toHaveLength(4);
  for (const { masks, steps } of pictures) {
    expect(masks).toHaveLength(4);
    expect(steps.filter(({ op }) => op === 'mask')).toEqual(masks?.map((box) => ({ op: 'mask', ...box })));
    expect(masks?.every((box) => box.left + box.width <= 24 && box.top + box.height <= 24)).toBe(true);
  }
  expect(new Set(pictures.map(({ masks }) => JSON.stringify(masks))).size).toBe(4);
  expect(first?.plans['lab']?.some((picture) => 'masks' in picture)).toBe(false);
});

test('nothing of them is left to a device', async () => {
  const [here, there] = await Promise.all([batches(), batches({ augment: 'device' })]);
  for (const view of ['lab', 'masked']) {
    expect(pixelsOf(there, view)).toEqual(pixelsOf(here, view));
    for (const { views } of there) expect(views[view]?.pending).toEqual(Array.from({ length: 4 }, () => ({ steps: [] })));
  }
});
