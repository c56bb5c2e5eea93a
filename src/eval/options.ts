/** The options of the evaluations of a run. */
import { z } from 'zod';
import { expectedOneOf } from '../common/nearest.js';
import { TEMPERATURE } from './knn.js';

/** Of images or neighbours. */
const count = z.int().min(1).max(1_000_000_000);

/** What a run may evaluate: kNN accuracy, the effective rank of features, which needs no labels, and a linear probe that learns with it. */
export const RUN_EVALUATIONS = ['knn', 'rank', 'linear'] as const;
type RunEvaluation = (typeof RUN_EVALUATIONS)[number];

/** A list, or a text with commas. */
export const evaluationsSchema = z.union([z.string(), z.array(z.string()).min(1)]).transform((given, context): readonly RunEvaluation[] => {
  const names = typeof given === 'string' ? given.split(',') : given;
  const unknown = names.find((name) => !(RUN_EVALUATIONS as readonly string[]).includes(name));
  if (unknown !== undefined) context.addIssue({ code: 'custom', message: expectedOneOf(unknown, RUN_EVALUATIONS) });
  return names as RunEvaluation[];
});

export const knnSchema = z.strictObject(
  {
    /** Images of the training shards that vote, at most. */
    bank: count.default(2000),
    /** Images of the validation shards that are classified, at most. */
    queries: count.default(2000),
    /** Neighbours; by default 200, or a tenth of a smaller bank. */
    k: count.optional(),
    /** Cosines are divided by it, and exp of that is a vote: what float32 tells apart. */
    temperature: z.number().min(1e-4).max(1000).default(TEMPERATURE),
  },
  { error: ({ code }) => (code === 'invalid_type' ? 'expected options, as in knn: { bank: 5000 }' : undefined) },
);
