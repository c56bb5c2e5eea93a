/** Writes small real shards of random JPEGs for tests that need data of a given shape. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { Random } from '#dist/common/random.js';
import sharp from 'sharp';
import { pack } from 'tar-stream';

export interface TestShards {
  /** Samples in each shard; its length is the number of shards. */
  readonly counts: readonly number[];
  readonly seed?: number;
  /** Keys whose image is replaced by text. */
  readonly bad?: readonly string[];
  /** By key, in the place of the five classes in turn; undefined for a sample without a label. */
  readonly label?: (key: string) => number | undefined;
  /** Keys of photographs that take long to decode and to make views of. */
  readonly large?: readonly string[];
}

/** Key of sample `index` of shard `shard`. */
export const testKey = (shard: number, index: number): string => `s${shard}-${String(index).padStart(3, '0')}`;

/** @returns paths of the shards, in order */
export async function writeTestShards(folder: string, { counts, seed = 1, bad = [], large = [], label }: TestShards): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  return Promise.all(
    counts.map(async (count, shard) => {
      const path = join(folder, `shard-${String(shard).padStart(3, '0')}.tar`);
      const tar = pack();
      const done = finished(tar.pipe(createWriteStream(path)));
      for (let index = 0; index < count; index++) {
        const key = testKey(shard, index);
        const side = large.includes(key) ? 600 : 24;
        const image = bad.includes(key) ? Buffer.from('this is no image') : await randomJpeg(new Random(seed, shard, index), side);
        tar.entry({ name: `${key}.jpg` }, image);
        const known = label ? label(key) : index % 5;
        if (known !== undefined) tar.entry({ name: `${key}.cls` }, String(known));
      }
      tar.finalize();
      await done;
      return path;
    }),
  );
}

function randomJpeg(random: Random, side: number): Promise<Buffer> {
  const width = side + random.below(24);
  const height = side + random.below(24);
  const pixels = Uint8Array.from({ length: width * height * 3 }, () => random.below(256));
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 60 })
    .toBuffer();
}
