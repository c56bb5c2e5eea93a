/** The options of a contrastive method: DetCo, and MoCo v1 and v2 as its subsets. */
import { z } from 'zod';
import { oneOf } from '../pipeline/one-of.js';
import { quoted } from '../pipeline/quoted.js';
import { MOST_CHANNELS, MOST_KEYS } from './limits.js';
import { ARCHITECTURE_NAMES, STAGES } from './resnet.js';
import type { Stage } from './resnet.js';

/** gg: global query, global key (Eq. 2); gl: local query, global key (Eq. 4); ll: local query, local key (Eq. 5). */
export const TERM_NAMES = ['gg', 'll', 'gl'] as const;
export type Term = (typeof TERM_NAMES)[number];

const count = z.int().positive();
const channels = count.max(MOST_CHANNELS);

export const methodOptionsSchema = z.strictObject({
  arch: oneOf(ARCHITECTURE_NAMES).default('resnet50'),
  /** Channels of the stem; the four stages have width x (1, 2, 4, 8), four times that with bottlenecks. */
  width: channels.default(64),
  stem: oneOf(['imagenet', 'small']).default('imagenet'),
  /** The stages that have losses, with the weight w_i of each (Eq. 1). */
  levels: z
    .partialRecord(oneOf(STAGES), z.number().positive().max(1000))
    .refine((levels) => Object.keys(levels).length > 0, 'expected a weight for at least one of res2, res3, res4, res5')
    .default({ res2: 0.1, res3: 0.4, res4: 0.7, res5: 1 }),
  terms: z
    .array(oneOf(TERM_NAMES))
    .min(1)
    .refine((terms) => new Set(terms).size === terms.length, 'expected each term once')
    .readonly()
    .default(TERM_NAMES),
  /** `mlp`: Linear, ReLU, Linear (MoCo v2); `linear`: one Linear (MoCo v1). */
  head: oneOf(['mlp', 'linear']).default('mlp'),
  /** Hidden width of every MLP head; by default the channels of its stage. */
  hidden: channels.optional(),
  /** Dimensions of an embedding. */
  dim: channels.default(128),
  /** Keys in each queue, K. */
  queueSize: count.max(MOST_KEYS).default(65536),
  temperature: z.number().positive().max(1000).default(0.2),
  /** m in key <- m key + (1 - m) query. */
  keyMomentum: z.number().min(0).max(1).default(0.999),
  /** Contiguous parts of the batch that batch norm normalises separately; must divide the batch. */
  bnGroups: count.default(8),
});

export type MethodOptions = Readonly<z.output<typeof methodOptionsSchema>>;

/** Fills in defaults (DetCo's) and checks; throws an error that names each bad option and quotes its value. */
export function methodOptions(input: z.input<typeof methodOptionsSchema> = {}): MethodOptions {
  const parsed = methodOptionsSchema.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => {
    let value: unknown = input;
    for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
    return `${issue.path.join('.') || 'options'} = ${quoted(value)}: ${issue.message}`;
  });
  throw new TypeError(`Unusable method options: ${problems.join('; ')}`);
}

/** The levels in stage order, shallow to deep. */
export function levelsOf({ levels }: MethodOptions): Stage[] {
  return STAGES.filter((stage) => levels[stage] !== undefined);
}

/** The default of `bnGroups` for a batch: 8 when it divides into parts of at least two images, else 1. */
export function defaultBnGroups(batch: number): number {
  return batch % 8 === 0 && batch >= 16 ? 8 : 1;
}
