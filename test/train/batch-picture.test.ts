import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPipeline, recipes } from '#dist/pipeline/index.js';
import { BatchPicture } from '#dist/train/batch-picture.js';
import { RunDirectory } from '#dist/train/run-directory.js';
import sharp from 'sharp';
import { writeTestShards } from '../support/shards.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-batch-picture-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const SIDE = 32;
const PATCH = 16;
const GAP = 4;
/** Three patches and what lies between them. */
const COLUMN = 3 * (PATCH + GAP);

test('views.png has the pixels that the trainer got first in the newest epoch, and batches pass as they are', async () => {
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [6, 6] });
  const run = await RunDirectory.create(join(folder, 'run'), {});
  const recipe = recipes.detco({ globalSize: SIDE, patchSize: PATCH });
  const warnings: string[] = [];
  const firsts: { global: Uint8Array; patches: Uint8Array }[] = [];
  let steps = 0;
  {
    await using pipeline = await createPipeline({ shards, recipe, batchSize: 4, epochs: 2, lanes: 2, workers: 1 });
    await using picture = new BatchPicture(run, (message) => warnings.push(message));
    for await (const { epoch, views } of picture.of(pipeline)) {
      firsts[epoch] ??= {
        global: views['globalQ']?.data.slice() ?? new Uint8Array(),
        patches: views['patchesK']?.data.slice() ?? new Uint8Array(),
      };
      steps++;
    }
  }
  expect({ steps, warnings }).toEqual({ steps: 6, warnings: [] });
  const sheet = sharp(join(run.path, 'views.png'));
  expect(await sheet.metadata()).toMatchObject({ width: 4 * COLUMN, height: 2 * (SIDE + GAP) + 2 * COLUMN, channels: 4 });
  const cut = async (left: number, top: number, side: number) =>
    new Uint8Array(await sheet.clone().extract({ left, top, width: side, height: side }).removeAlpha().raw().toBuffer());
  const last = firsts.at(-1);
  const globalBytes = 3 * SIDE * SIDE;
  expect(await cut(2 * COLUMN, 0, SIDE)).toEqual(last?.global.slice(2 * globalBytes, 3 * globalBytes));
  // The fifth patch of the last sample, in the middle of its nine.
  const patchBytes = 3 * PATCH * PATCH;
  const middle = 3 * COLUMN + PATCH + GAP;
  expect(await cut(middle, 2 * (SIDE + GAP) + COLUMN + PATCH + GAP, PATCH)).toEqual(last?.patches.slice(31 * patchBytes, 32 * patchBytes));
  expect((await readdir(run.path)).filter((name) => name.endsWith('.partial'))).toEqual([]);
  await run.close();
});

test('a folder that is lost is warned of, and not made again', async () => {
  const shards = await writeTestShards(join(folder, 'shards'), { counts: [6, 6] });
  const run = await RunDirectory.create(join(folder, 'lost'), {});
  const warnings: string[] = [];
  await rm(run.path, { recursive: true });
  {
    await using pipeline = await createPipeline({
      shards,
      recipe: recipes.detco({ globalSize: SIDE, patchSize: PATCH }),
      batchSize: 4,
      lanes: 2,
      workers: 1,
    });
    await using picture = new BatchPicture(run, (message) => warnings.push(message));
    for await (const _batch of picture.of(pipeline)) continue;
  }
  expect(warnings).toEqual([`views.png could not be written: "${run.path}" was moved, deleted or replaced while the run went on`]);
  expect(await readdir(folder)).not.toContain('lost');
  await run.close();
});
