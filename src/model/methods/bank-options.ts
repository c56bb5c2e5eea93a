/** Options of methods with a memory bank, and what has to hold between them. */
import { z } from 'zod';
import { formatByteSize } from '../../common/byte-size.js';
import { oneOf } from '../../common/one-of.js';
import { BANK_LOSSES } from '../network/bank-loss.js';
import { MOST_KEYS } from '../network/limits.js';
import { backboneOptions, bnGroups, channels, count, temperature } from './options.js';

/** Those of every method with a bank, for its schema. */
export const bankOptions = {
  ...backboneOptions,
  /** Dimensions of an embedding. */
  dim: channels.default(128),
  /** Entries of the bank: the images of all shards, which a run counts where it is left out. */
  images: count.max(MOST_KEYS).optional(),
  /** m, which are drawn for each step, with replacement. */
  negatives: count.max(MOST_KEYS).default(4096),
  /** What embeddings and entries are held against each other by. */
  loss: oneOf(BANK_LOSSES).default('nce'),
  temperature: temperature.default(0.07),
  /** m in entry <- m entry + (1 - m) embedding. */
  bankMomentum: z.number().min(0).max(1).default(0.5),
  /** One: nothing is held against another image of its batch, so that groups have nothing to hide. */
  bnGroups: bnGroups.default(1),
};
export type BankOptions = Readonly<z.output<z.ZodObject<typeof bankOptions>>>;

/** The options with a bank for so many images. @throws RangeError for a bank that has fewer entries */
export function bankForImages<O extends Pick<BankOptions, 'images'>>(options: O, images: number): O {
  const { images: entries = images } = options;
  if (images > entries) {
    throw new RangeError(
      `method.images ${entries}: the shards hold ${images} images, and the bank has an entry for each; start another run without method.images, ` +
        'or with the shards that the bank was made for',
    );
  }
  return { ...options, images: entries };
}

/** @throws RangeError where the images were not counted */
export function imagesOf({ images }: Pick<BankOptions, 'images'>): number {
  if (images === undefined)
    throw new RangeError('method.images is missing: expected how many images the data have, an entry of the bank for each');
  return images;
}

const FLOAT_BYTES = 4;

/** Why the bank does not fit into so many bytes; undefined as long as the images are not counted. */
export function bankExcess({ images = 0, dim }: Pick<BankOptions, 'images' | 'dim'>, most: number): string | undefined {
  const bytes = images * dim * FLOAT_BYTES;
  if (bytes <= most) return undefined;
  return (
    `method.images ${images}: a bank of as many entries of ${dim} dimensions takes ${formatByteSize(bytes)}, and there are ${formatByteSize(most)} of memory; ` +
    'use a smaller method.dim, or fewer shards'
  );
}

/** Negatives more than so many times an estimate of the images are too many whatever its error. */
const FAR = 2;

/** More negatives than images are the same ones several times. */
export function bankConcern(
  { negatives }: Pick<BankOptions, 'negatives'>,
  { images, estimated }: { readonly images: number; readonly estimated: boolean },
): string | undefined {
  if (negatives <= (estimated ? FAR * images : images)) return undefined;
  return (
    `negatives ${negatives} is more than the ${estimated ? 'about ' : ''}${images} images of an epoch: ` +
    `a step has the same ones several times; use at most method.negatives ${images}`
  );
}
