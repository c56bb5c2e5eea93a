/** Image files -> shards: which image goes where is known before the first is read. */
import { counted } from '../../../common/counted.js';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Random, streamId } from '../../../common/random.js';
import { DecodeRoom, defaultDecodeMemory } from '../../worker/decode-room.js';
import { prepareSample } from './image.js';
import { mapInOrder } from '../in-order.js';
import { type ImageList, type ListedImage, looseInWords } from './listed.js';
import type { MakeShardsOptions } from './options.js';
import { firstOf, planOf, shardCount, ShardPlanError } from './plan.js';
import { type MadeShards, ShardSet } from './set.js';
import { writeShards } from './write-set.js';
import { quoted } from '../../../common/quoted.js';

const ORDER_STREAM = streamId('shard order');

/** Each shard is a slice of one permutation of all images, so a missing one can be made without the others. */
export async function fromList(
  options: MakeShardsOptions,
  source: string,
  { images, classes = [], ignored, loose }: ImageList,
): Promise<MadeShards> {
  const { dir, perShard, seed, signal, onProgress, workers } = options;
  if (images.length === 0) {
    const others = ignored === 0 ? '' : ` (it has ${counted(ignored, 'other file')})`;
    if (loose) throw new ShardPlanError(`${quoted(source)} has no image in its class folders: ${looseInWords(loose)}`);
    throw new ShardPlanError(`${quoted(source)} has no image${others}; expected files named .jpg, .jpeg, .png or .webp`);
  }
  const listing = createHash('sha256');
  for (const { path, key, label } of images) listing.update(`${path}\t${key}\t${label}\n`);
  const set = await ShardSet.open(dir, planOf(options, source, listing.digest('hex')), classes);
  const kept = set.records.size;
  const shards = shardCount(images.length, perShard);
  await set.setTotal(shards);

  const order = seed === undefined ? undefined : new Random(seed, 0, 0, 0, ORDER_STREAM).permutation(images.length);
  function* missing(): Generator<[shard: number, image: ListedImage]> {
    for (let shard = 0; shard < shards; shard++) {
      if (set.records.has(shard)) continue;
      for (let place = firstOf(shard, shards, images.length); place < firstOf(shard + 1, shards, images.length); place++) {
        signal?.throwIfAborted();
        yield [shard, images[order?.[place] ?? place] as ListedImage];
      }
    }
  }
  const room = new DecodeRoom(options.decodeMemory ?? defaultDecodeMemory());
  const before = set.counts();
  let done = before.images + before.bad;
  const prepared = mapInOrder(missing(), workers, async ([shard, { path, ...image }]) => ({
    shard,
    ...(await prepareSample({ ...image, source: path, read: () => readImage(path) }, options, room)),
  }));
  await writeShards(set, prepared, {
    ...(signal && { signal }),
    onImage: () => onProgress?.({ images: ++done, share: done / images.length }),
  });
  return { set, classes, kept, ignored, ...(loose && { loose }), leftOut: [] };
}

/** A pipe or a device may never end, and a pipe that nobody writes to is not even opened, but where it is asked not to wait. */
async function readImage(path: string): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is a pipe, a socket, a device or a folder: expected a file');
    return await file.readFile();
  } finally {
    await file.close();
  }
}
