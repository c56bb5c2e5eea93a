/** Small labelled shards for tests that train: noise pictures whose colour is their class. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { Random } from '#dist/pipeline/plan/random.js';

const SIDE = 24;
const CLASSES = 4;

async function picture(random: Random, label: number): Promise<Buffer> {
  const pixels = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => 60 * (i % 3 === label % 3 ? 3 : 1) + random.below(60));
  return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .jpeg()
    .toBuffer();
}

/** Writes `shards` shards of `each` samples; returns their paths. */
export async function writeShards(folder: string, shards: number, each: number, seed = 0): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const paths: string[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const path = join(folder, `train-${shard}.tar`);
    const random = new Random(seed, shard);
    const tar = pack();
    const written = pipeline(tar, createWriteStream(path));
    for (let sample = 0; sample < each; sample++) {
      const label = (shard + sample) % CLASSES;
      const key = `s${shard}-${String(sample).padStart(4, '0')}`;
      tar.entry({ name: `${key}.jpg` }, await picture(random, label));
      tar.entry({ name: `${key}.cls` }, String(label));
    }
    tar.finalize();
    await written;
    paths.push(path);
  }
  return paths;
}
