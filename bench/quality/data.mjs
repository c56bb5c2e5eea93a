/** The pictures: a training set, one that chooses learning rates, and one that the report is about. */
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { indexShards } from '../../dist/pipeline/shard/index-shards.js';
import { listShards } from '../../dist/pipeline/source/index.js';
import { synthesise } from '../../dist/synth/synthesise.js';

/** A seed of its own each, so that no picture is in two sets. */
const SEEDS = { train: 1, search: 2, test: 3 };
const PER_SHARD = 500;
const QUALITY = 90;

/**
 * Makes what is not there yet, each set whole or not at all.
 *
 * @returns the shards of each set, and `index`: the folder of the training set's index
 */
export async function makeData(dir, { images, side, photo }, log) {
  const shards = {};
  for (const [name, seed] of Object.entries(SEEDS)) {
    const folder = join(dir, name);
    shards[name] = [join(folder, '*.tar')];
    if (existsSync(folder)) continue;
    const part = `${folder}.part`;
    await rm(part, { recursive: true, force: true });
    const options = {
      dir: part,
      prefix: name,
      count: images[name],
      perShard: PER_SHARD,
      size: [side, side],
      photo,
      quality: QUALITY,
      seed,
    };
    const { imagesPerSecond } = await synthesise(options);
    await rename(part, folder);
    log(`${name}: ${images[name]} pictures of ${side}x${side}, ${imagesPerSecond} a second`);
  }
  const index = join(dir, 'index');
  const locations = await listShards(shards.train);
  const { failed } = await indexShards(locations, { dir: index, workers: 1, batchSize: PER_SHARD });
  if (failed.length > 0) throw new Error(`${failed[0].problem}: remove ${dir}`);
  return { ...shards, index };
}
