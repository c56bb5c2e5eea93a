/**
 * Options that several methods have, and what has to hold between them. The help of `detco train` reads their flags here, so this file
 * loads no tensor library; an option of one method alone has no flag.
 */
import { z } from 'zod';
import { oneOf } from '../../common/one-of.js';
import { formatByteSize } from '../../common/byte-size.js';
import { optionFlags } from '../../common/option-flags.js';
import { MOST_CHANNELS, MOST_KEYS } from '../network/limits.js';
import { ARCHITECTURE_NAMES } from '../network/architecture.js';

export const count = z.int().min(1);
export const channels = count.max(MOST_CHANNELS);

export const backboneOptions = {
  arch: oneOf(ARCHITECTURE_NAMES).default('resnet50'),
  /** Channels of the stem; the four stages have width x (1, 2, 4, 8), four times that with bottlenecks. */
  width: channels.default(64),
  stem: oneOf(['imagenet', 'small']).default('imagenet'),
};

/** Contiguous parts of the batch that batch norm normalises separately; must divide the batch. */
export const bnGroups = count;

/** Similarities, at most 1, are divided by it: at 1e-4 the exponents reach 1e4, where float32 resolves 0.001, and less below that. */
export const temperature = z.number().min(1e-4).max(1000);

/** Of methods with a momentum encoder and a queue of its keys. */
export const queueOptions = {
  /** Dimensions of an embedding. */
  dim: channels.default(128),
  /** Keys in each queue, K. */
  queueSize: count.max(MOST_KEYS).default(65536).register(optionFlags, {
    flag: '--queue-size <n>',
    help: 'keys in each queue, of methods that have one; a multiple of the batch',
    example: '65536',
  }),
  temperature: temperature.default(0.2),
  /** m in key <- m key + (1 - m) query. */
  keyMomentum: z.number().min(0).max(1).default(0.999),
  bnGroups: bnGroups.default(8),
};

/** A batch norm group of one image would normalise each image by itself: 8 groups where they have at least two, else one. */
function defaultBnGroups(batch: number): number {
  return batch % 8 === 0 && batch >= 16 ? 8 : 1;
}

/** The options with batch norm groups that divide the batch, unless they were chosen. */
export function fitBnGroups<O extends { readonly bnGroups: number }>(options: O, batch: number, chosen: ReadonlySet<string>): O {
  return chosen.has('bnGroups') || batch % options.bnGroups === 0 ? options : { ...options, bnGroups: defaultBnGroups(batch) };
}

/** @throws RangeError for batch norm groups that do not divide the batch */
export function checkBnGroups({ bnGroups: groups }: { readonly bnGroups: number }, batch: number): void {
  if (batch % groups === 0) return;
  throw new RangeError(`method.bnGroups ${groups} does not divide batch ${batch}: expected a divisor such as ${defaultBnGroups(batch)}`);
}

export type QueueOptions = Readonly<z.output<z.ZodObject<typeof queueOptions>>>;

/** @throws RangeError for a queue that is not a whole number of batches long, and for batch norm groups that do not divide the batch */
export function checkQueue(options: Pick<QueueOptions, 'queueSize' | 'bnGroups'>, { batch }: { readonly batch: number }): void {
  const { queueSize } = options;
  if (queueSize % batch !== 0) {
    const near = Math.max(1, Math.round(queueSize / batch)) * batch;
    throw new RangeError(
      `queueSize ${queueSize} is not a multiple of batch ${batch}: keys are enqueued a whole batch at a time; use --queue-size ${near} or another --batch`,
    );
  }
  checkBnGroups(options, batch);
}

const FLOAT_BYTES = 4;

/** Why so many queues do not fit into so many bytes. */
export function queueExcess(
  { queueSize, dim }: Pick<QueueOptions, 'queueSize' | 'dim'>,
  queues: number,
  { batch, bytes: most }: { readonly batch: number; readonly bytes: number },
): string | undefined {
  const bytes = queues * queueSize * dim * FLOAT_BYTES;
  if (bytes <= most) return undefined;
  const fits = Math.max(1, Math.floor((queueSize * most) / bytes / batch)) * batch;
  return (
    `queueSize ${queueSize}: ${queues} queues of keys of ${dim} dimensions take ${formatByteSize(bytes)}, and there are ${formatByteSize(most)} of memory; ` +
    `use less than --queue-size ${fits}`
  );
}

/** Queues more than so many times an estimate of the images are too long whatever its error. */
const FAR = 2;

/** Queues that are longer than an epoch hold older keys of an image against itself. */
export function queueConcern(
  { queueSize }: Pick<QueueOptions, 'queueSize'>,
  { batch, images, estimated }: { readonly batch: number; readonly images: number; readonly estimated: boolean },
): string | undefined {
  if (queueSize <= (estimated ? FAR * images : images)) return undefined;
  const fitting = Math.max(1, Math.floor(images / batch)) * batch;
  return (
    `queueSize ${queueSize} is more than the ${estimated ? 'about ' : ''}${images} images of an epoch: ` +
    `images are held against older keys of their own; use at most --queue-size ${fitting}`
  );
}

/**
 * For heads with batch norms, which see a row an image.
 *
 * @param views of each image that go through together
 * @throws RangeError for batch norm groups that do not divide the rows, or have one alone
 */
export function checkHeadGroups({ bnGroups: groups }: { readonly bnGroups: number }, batch: number, views = 1): void {
  const rows = views * batch;
  const seen = views === 1 ? `batch ${batch}` : `the ${rows} views of batch ${batch}`;
  if (rows % groups !== 0) throw new RangeError(`method.bnGroups ${groups} does not divide ${seen}: expected a divisor such as 1`);
  if (rows / groups < 2)
    throw new RangeError(
      `method.bnGroups ${groups} leaves one row of ${seen} to a group, and one has no variance: use a larger --batch or fewer groups`,
    );
}
