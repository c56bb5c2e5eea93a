/** Images as they come -> shards: the story of `detco shard`. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { Random, streamId } from '../../plan/random.js';
import { codeOf, reasonOf } from '../../source/source.js';
import { shardPattern } from '../write.js';
import { type ImageOptions, prepareImage } from './image.js';
import { mapInOrder } from './in-order.js';
import { listFolder, readImageList, type ImageList, type ListedImage } from './listed.js';
import { firstOf, shardCount, ShardPlanError, type ShardPlan } from './plan.js';
import { DIGITS, ShardSet, type Counts } from './set.js';
import { findSource } from './source.js';
import { writeShards, type Outcome } from './write-set.js';

export { ShardPlanError } from './plan.js';
export type { BadImage } from './set.js';

export interface MakeShardsOptions {
  /** An ImageFolder, a list of image files, or tar archives: paths, http(s):// or s3:// URLs. */
  readonly source: string;
  /** Folder of the shards; made when absent. A set of the same options in it is gone on with. */
  readonly dir: string;
  /** Shards are named `PREFIX-NUMBER.tar`. */
  readonly prefix: string;
  /** The most images in a shard. */
  readonly perShard: number;
  /** Pixels of the shorter side above which images are made smaller; all keep their bytes without it. */
  readonly resizeShort?: number;
  /** JPEG quality of those, 1..100. */
  readonly quality: number;
  /** Of the shuffle; the order of the source is kept without it. */
  readonly seed?: number;
  /** Images that are decoded at once. Changes speed, never the result. */
  readonly workers: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ShardingProgress) => void;
}

export interface ShardingProgress {
  /** Images done, those of an earlier run included. */
  readonly images: number;
  /** Part of the work that is done, 0..1. */
  readonly share: number;
}

export interface ShardingReport extends Counts {
  readonly shards: number;
  /** Names all shards, such as `train-{000000..000146}.tar`. */
  readonly pattern: string;
  /** Bytes of the shards. */
  readonly bytes: number;
  /** Names in `classes.txt`. */
  readonly classes: number;
  /** Files of a folder that are no images by their name. */
  readonly ignored: number;
  /** Shards that an earlier run had written. */
  readonly kept: number;
}

const ORDER_STREAM = streamId('shard order');

/**
 * Writes the images of a source as WebDataset shards. The bytes depend on the source and the options alone; a run that
 * was killed goes on when it is started again with the same ones.
 * @throws ShardPlanError for a source or a folder that cannot be used; SourceError, ShardError for archives that cannot
 * be read; the signal's reason
 */
export async function makeShards(options: MakeShardsOptions): Promise<ShardingReport> {
  const { source, dir } = options;
  try {
    const found = await findSource(source);
    return await fromList(options, found.kind === 'folder' ? await listFolder(found.path) : await readImageList(found.path), found.path);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw isFull(error)
      ? new Error(`no space left in ${JSON.stringify(dir)}; free some and give the same command again, it goes on (${reasonOf(error)})`, {
          cause: error,
        })
      : error;
  }
}

async function fromList(options: MakeShardsOptions, { images, classes = [], ignored }: ImageList, source: string): Promise<ShardingReport> {
  const { dir, perShard, seed, signal, onProgress, workers } = options;
  if (images.length === 0) {
    const others = ignored === 0 ? '' : ` (it has ${ignored} other files)`;
    throw new ShardPlanError(`${JSON.stringify(source)} has no image${others}; expected files named .jpg, .jpeg, .png or .webp`);
  }
  const listing = createHash('sha256');
  for (const { path, key, label } of images) listing.update(`${path}\t${key}\t${label}\n`);
  const set = await ShardSet.open(dir, planOf(options, source, listing.digest('hex')));
  const kept = set.records.size;
  const shards = shardCount(images.length, perShard);
  await set.setTotal(shards);
  if (classes.length > 0) await writeFile(join(dir, 'classes.txt'), `${classes.join('\n')}\n`);

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
  const before = set.counts();
  let done = before.images + before.bad;
  await writeShards(
    set,
    mapInOrder(missing(), workers, ([shard, image]) => prepareListed(shard, image, options)),
    {
      ...(signal && { signal }),
      onImage: () => onProgress?.({ images: ++done, share: done / images.length }),
    },
  );
  return report(set, { kept, ignored, classes: classes.length, source });
}

async function prepareListed(shard: number, { path, key, label }: ListedImage, options: ImageOptions): Promise<Outcome> {
  try {
    const { data, extension, resized } = await prepareImage(await readFile(path), options);
    const image = { name: `${key}.${extension}`, data };
    const members = label === undefined ? [image] : [image, { name: `${key}.cls`, data: Buffer.from(String(label)) }];
    return { shard, members, labelled: label !== undefined, resized };
  } catch (error) {
    return { shard, bad: { source: path, key, reason: reasonOf(error) }, labelled: false, resized: false };
  }
}

function planOf({ prefix, perShard, resizeShort, quality, seed }: MakeShardsOptions, source: string, listing: string): ShardPlan {
  return {
    source,
    listing,
    prefix,
    perShard,
    resizeShort: resizeShort ?? null,
    quality: resizeShort === undefined ? null : quality,
    seed: seed ?? null,
    encoder: resizeShort === undefined ? null : sharp.versions.vips,
  };
}

function report(
  set: ShardSet,
  { source, ...rest }: Pick<ShardingReport, 'kept' | 'ignored' | 'classes'> & { readonly source: string },
): ShardingReport {
  const counts = set.counts();
  const shards = set.records.size;
  if (counts.images === 0) {
    throw new Error(
      `none of the ${counts.bad} images of ${JSON.stringify(source)} can be read; ${join(set.dir, 'bad-samples.jsonl')} says why`,
    );
  }
  let bytes = 0;
  for (const record of set.records.values()) bytes += record.bytes;
  return { shards, pattern: shardPattern(set.prefix, shards, DIGITS), bytes, ...counts, ...rest };
}

/** No space, over quota, or larger than the file system allows. */
function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(error) ?? '');
}
