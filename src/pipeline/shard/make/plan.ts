/** What a set of shards is made from and how: everything that decides their bytes. */
import sharp from 'sharp';
import { identityOf, withoutSecrets } from '../../source/identity.js';
import { MAX_PIXELS } from '../../worker/image-header.js';
import type { MakeShardsOptions } from './options.js';

/** Arguments that cannot be used: the source, the folder, or options that contradict what the folder holds. */
export class ShardPlanError extends Error {
  override readonly name = 'ShardPlanError';

  constructor(message: string, options?: ErrorOptions) {
    super(withoutSecrets(message), options);
  }
}

export interface ShardPlan {
  /** Absolute path or URL, without login and signature. */
  readonly source: string;
  /** SHA-256 of what the source lists: paths, keys and labels, or archives and their sizes. */
  readonly listing: string;
  readonly prefix: string;
  readonly perShard: number;
  readonly resizeShort: number | null;
  readonly quality: number | null;
  /** Pixels above which an image is bad; null is the default. */
  readonly maxPixels: number | null;
  /** Of the shuffle; null keeps the order of the source. */
  readonly seed: number | null;
  /** Version of the JPEG encoder's library, when images are encoded. */
  readonly encoder: string | null;
}

export function planOf(
  { prefix, perShard, resizeShort, quality, maxPixels, seed }: MakeShardsOptions,
  source: string,
  listing: string,
): ShardPlan {
  return {
    source: identityOf(source),
    listing,
    prefix,
    perShard,
    resizeShort: resizeShort ?? null,
    quality: resizeShort === undefined ? null : quality,
    maxPixels: maxPixels === undefined || maxPixels === MAX_PIXELS ? null : maxPixels,
    seed: seed ?? null,
    encoder: resizeShort === undefined ? null : sharp.versions.vips,
  };
}

const TITLES: Readonly<Record<keyof ShardPlan, string>> = {
  source: 'source',
  listing: 'content of the source',
  prefix: '--prefix',
  perShard: '--per-shard',
  resizeShort: '--resize-short',
  quality: '--quality',
  maxPixels: '--max-pixels',
  seed: '--seed',
  encoder: 'libvips',
};

/** How `now` differs from `then`, in words; empty when it does not. */
export function planDifferences(then: ShardPlan, now: ShardPlan): string[] {
  const show = (value: string | number | null | undefined): string => String(value ?? '(none)');
  return (
    (Object.keys(TITLES) as (keyof ShardPlan)[])
      // A set of before there was the option has none.
      .filter((field) => (then[field] ?? null) !== now[field])
      .map((field) =>
        field === 'listing' ? `${TITLES.listing} has changed` : `${TITLES[field]} ${show(then[field])} then, ${show(now[field])} now`,
      )
  );
}

/** Shards of at most `perShard` images, as even as can be: a short last shard would leave a lane without work. */
export function shardCount(images: number, perShard: number): number {
  return Math.ceil(images / perShard);
}

/** First of the `images` that belongs to shard `shard` of `shards`; shard + 1 gives the end. */
export function firstOf(shard: number, shards: number, images: number): number {
  return Math.floor((shard * images) / shards);
}
