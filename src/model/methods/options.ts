/**
 * Options that several methods have, and what has to hold between them. The help of `detco train` reads their flags here, so this file
 * loads no tensor library; an option of one method alone has no flag.
 */
import { z } from 'zod';
import { noSuch } from '../../common/nearest.js';
import { oneOf } from '../../common/one-of.js';
import { formatByteSize } from '../../common/byte-size.js';
import { optionFlags } from '../../common/option-flags.js';
import type { RunToCheck } from '../method.js';
import { MOST_CHANNELS, MOST_KEYS } from '../network/limits.js';
import { ARCHITECTURE_NAMES, type ResNetOptions, STAGES } from '../network/architecture.js';
import { type NetworkSpecs, size } from '../network/parameters.js';

export const count = z.int().min(1);
export const channels = count.max(MOST_CHANNELS);

export const backboneOptions = {
  arch: oneOf(ARCHITECTURE_NAMES).default('resnet50'),
  /** Channels of the stem; the four stages have width x (1, 2, 4, 8), four times that with bottlenecks. */
  width: channels.default(64),
  stem: oneOf(['imagenet', 'small']).default('imagenet'),
};

/** Stages that have losses, with the weight of each; by default DetCo's. */
export const levelWeights = z
  .partialRecord(oneOf(STAGES), z.number().positive().max(1000), {
    error: (issue: z.core.$ZodRawIssue) => (issue.code === 'unrecognized_keys' ? noSuch(issue.keys, STAGES) : undefined),
  })
  .refine((levels) => Object.keys(levels).length > 0, {
    error: 'expected a weight for at least one of res2, res3, res4, res5',
    when: ({ issues }) => issues.length === 0,
  })
  .default({ res2: 0.1, res3: 0.4, res4: 0.7, res5: 1 });

/** `mlp`: Linear, ReLU, Linear; `linear`: one Linear. */
export const headOption = oneOf(['mlp', 'linear']).default('mlp');

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

/** 8 groups where they have at least two images each, else one. */
function defaultBnGroups(batch: number): number {
  return batch % 8 === 0 && batch >= 16 ? 8 : 1;
}

/** The options with batch norm groups that divide the batch, into at least two images each, unless they were chosen. */
export function fitBnGroups<O extends { readonly bnGroups: number }>(options: O, batch: number, chosen: ReadonlySet<string>): O {
  const { bnGroups: groups } = options;
  return chosen.has('bnGroups') || (batch % groups === 0 && batch >= 2 * groups)
    ? options
    : { ...options, bnGroups: defaultBnGroups(batch) };
}

/** @throws RangeError for batch norm groups that do not divide the batch */
export function checkBnGroups({ bnGroups: groups }: { readonly bnGroups: number }, batch: number): void {
  if (batch % groups === 0) return;
  throw new RangeError(`method.bnGroups ${groups} does not divide batch ${batch}: ${divisorsNear(groups, batch)}`);
}

/** The groups of at least two rows each that come next to what was asked for, in words. */
function divisorsNear(groups: number, rows: number): string {
  const fits = (count: number): boolean => count === 1 || (rows % count === 0 && rows >= 2 * count);
  const counts = Array.from({ length: Math.ceil(rows / 2) }, (_, i) => i + 1).filter(fits);
  const near = [counts.findLast((count) => count < groups), counts.find((count) => count > groups)].filter((count) => count !== undefined);
  return `expected a divisor, such as ${near.join(' or ')}`;
}

/**
 * @param views of each image that are normalised together
 * @throws RangeError for batch norm groups of one row, which would be normalised by itself
 */
function checkCompany({ bnGroups: groups }: { readonly bnGroups: number }, batch: number, views = 1): void {
  if (views * batch >= 2 * groups) return;
  const remedy = [`--batch ${Math.ceil((2 * groups) / views)} or more`, ...(groups > 1 ? ['method.bnGroups 1'] : [])];
  throw new RangeError(
    `method.bnGroups ${groups} leaves one ${views === 1 ? 'image' : 'view'} of batch ${batch} to a group, and batch norm would normalise it by itself: ` +
      `use ${remedy.join(', or ')}`,
  );
}

export type QueueOptions = Readonly<z.output<z.ZodObject<typeof queueOptions>>>;

/**
 * @throws RangeError for a queue that is not a whole number of batches long, for batch norm groups that do not divide the batch, and in
 *   a new run for groups of one image: with large images they compute, and runs that have them go on
 */
export function checkQueue(options: Pick<QueueOptions, 'queueSize' | 'bnGroups'>, { batch, resumed }: RunToCheck): void {
  const { queueSize } = options;
  if (queueSize % batch !== 0) {
    const near = Math.max(1, Math.round(queueSize / batch)) * batch;
    throw new RangeError(
      `method.queueSize (--queue-size) ${queueSize} is not a multiple of batch ${batch}: keys are enqueued a whole batch at a time; ` +
        `use --queue-size ${near} or another --batch`,
    );
  }
  checkBnGroups(options, batch);
  if (!resumed) checkCompany(options, batch);
}

/** @throws RangeError in a new run for a hidden width of a head that has no hidden layer */
export function checkHead(
  { head, hidden }: { readonly head: 'mlp' | 'linear'; readonly hidden?: number | undefined },
  { resumed }: RunToCheck,
): void {
  if (resumed || head === 'mlp' || hidden === undefined) return;
  throw new RangeError(
    `method.hidden ${hidden} with method.head linear, which has no hidden layer: leave method.hidden out, or use method.head mlp`,
  );
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
    `method.queueSize (--queue-size) ${queueSize}: ${queues} queues of keys of ${dim} dimensions take ${formatByteSize(bytes)}, and there are ${formatByteSize(most)} of memory; ` +
    `use less than --queue-size ${fits}`
  );
}

/**
 * Why parameters do not fit into so many bytes; what an update needs besides is not counted.
 *
 * @param held the parts of each network, and once more those of the optimizer's velocities
 */
export function networkExcess(
  { arch, width }: Pick<ResNetOptions, 'arch' | 'width'>,
  held: readonly NetworkSpecs[],
  most: number,
): string | undefined {
  const bytes = FLOAT_BYTES * held.flatMap(({ parameters }) => parameters).reduce((sum, { shape }) => sum + size(shape), 0);
  if (bytes <= most) return undefined;
  return (
    `method.arch ${arch} with method.width ${width}: its networks and the optimizer's velocities take ${formatByteSize(bytes)}, ` +
    `and there are ${formatByteSize(most)} of memory; use a smaller method.width or method.hidden, or another method.arch`
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
    `images are held against older keys of their own; use at most --queue-size ${fitting}; a fifth of that or less is better`
  );
}

/**
 * For heads with batch norms, which see a row for each view of an image.
 *
 * @param views of each image that go through together
 * @throws RangeError for batch norm groups that do not divide the batch, or have one row alone
 */
export function checkHeadGroups(options: { readonly bnGroups: number }, batch: number, views = 1): void {
  const { bnGroups: groups } = options;
  if (batch % groups !== 0)
    throw new RangeError(`method.bnGroups ${groups} does not divide batch ${batch}: ${divisorsNear(groups, batch)}`);
  checkCompany(options, batch, views);
}
