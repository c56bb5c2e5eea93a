/** Shards of classes that are easy to tell apart: each has a colour, under noise. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { Random } from '#dist/common/random.js';

const SIDE = 40;
const COLOURS: readonly (readonly [number, number, number])[] = [
  [200, 60, 60],
  [60, 200, 60],
  [60, 60, 200],
  [190, 190, 60],
];

/** @param fields of a sample beside its image, by name; by default its class */
export async function writeColouredShard(
  path: string,
  count: number,
  fields: (label: number, index: number) => Readonly<Record<string, string>> = (label) => ({ cls: String(label) }),
): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  const tar = pack();
  const done = finished(tar.pipe(createWriteStream(path)));
  for (let index = 0; index < count; index++) {
    const label = index % COLOURS.length;
    const key = String(index).padStart(4, '0');
    const random = new Random(index, path.length);
    const colour = COLOURS[label] ?? [0, 0, 0];
    const pixels = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, at) => (colour[at % 3] ?? 0) + random.below(55));
    tar.entry(
      { name: `${key}.png` },
      await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toBuffer(),
    );
    for (const [field, text] of Object.entries(fields(label, index))) tar.entry({ name: `${key}.${field}` }, text);
  }
  tar.finalize();
  await done;
  return path;
}
