/** Learning rates, set once an epoch as MoCo does (main_moco.py `adjust_learning_rate`), with optional linear warm-up. */
import { z } from 'zod';
import { kinds } from '../common/kinds.js';

/** Beyond it a number is a slip of the keyboard. */
export const MOST_EPOCHS = 1_000_000;

export const scheduleSchema = kinds('schedule', 'kind', [
  /** lr/2 (1 + cos(pi e / E)): to 0 over all epochs. */
  z.strictObject({ kind: z.literal('cosine') }),
  /** lr times `factor` for every milestone (epoch) that has been reached. */
  z.strictObject({
    kind: z.literal('step'),
    milestones: z
      .array(z.int().min(1).max(MOST_EPOCHS), {
        error: 'expected the epochs at which the rate falls, as in schedule: { kind: step, milestones: [120, 160] }',
      })
      .readonly(),
    factor: z.number().positive().max(1000).default(0.1),
  }),
]);
/** How the learning rate falls over the epochs: a cosine to 0, or steps. */
export type Schedule = Readonly<z.output<typeof scheduleSchema>>;

/** How the rate goes with the batch: by batch/256 (Goyal et al. 2017, section 2.1), or by its square root (SimCLR, appendix B.1). */
export const LR_SCALINGS = ['linear', 'sqrt'] as const;

/** What the learning rate of an update follows from. */
export interface LearningRateOptions {
  /** Learning rate for a batch of 256. */
  readonly lr: number;
  readonly lrScaling: (typeof LR_SCALINGS)[number];
  readonly batch: number;
  /** Epochs of the whole run, where the cosine reaches 0. */
  readonly epochs: number;
  readonly schedule: Schedule;
  /** Updates over which the rate rises linearly to the schedule's; 0 for none. */
  readonly warmupSteps: number;
  /** Epochs over which it rises by a step each; 0 for none. */
  readonly warmupEpochs: number;
}

/** The batch size at which learning rates are quoted (DetCo section 3.4; MoCo v2). */
const REFERENCE_BATCH = 256;

/** The highest rate for this batch. */
export function peakLearningRate({ lr, lrScaling, batch }: Pick<LearningRateOptions, 'lr' | 'lrScaling' | 'batch'>): number {
  return lrScaling === 'sqrt' ? lr * Math.sqrt(batch / REFERENCE_BATCH) : (lr * batch) / REFERENCE_BATCH;
}

/**
 * The rate of one update.
 *
 * @param epoch epoch of the batch, from 0
 * @param step updates done before this one
 */
export function learningRate(options: LearningRateOptions, epoch: number, step: number): number {
  const { epochs, schedule, warmupSteps, warmupEpochs } = options;
  const warm = Math.min(1, (step + 1) / Math.max(1, warmupSteps), (epoch + 1) / Math.max(1, warmupEpochs));
  const peak = peakLearningRate(options) * warm;
  if (schedule.kind === 'cosine') return (peak / 2) * (1 + Math.cos((Math.PI * Math.min(epoch, epochs)) / epochs));
  return peak * schedule.factor ** schedule.milestones.filter((milestone) => epoch >= milestone).length;
}

/**
 * Why the rate never comes to the schedule's. `steps` of a run do not count: they may be more at a resume.
 *
 * @param updates of all epochs, about, where that is known
 */
export function warmUpConcern(
  { epochs, warmupSteps, warmupEpochs }: Pick<LearningRateOptions, 'epochs' | 'warmupSteps' | 'warmupEpochs'>,
  updates: number | undefined,
): string | undefined {
  const low = 'the learning rate does not come to its height; use a shorter warm-up, or more --epochs';
  if (warmupEpochs > epochs) return `warmupEpochs ${warmupEpochs} is more than the epochs of the run, ${epochs}: ${low}`;
  if (updates !== undefined && warmupSteps > updates)
    return `warmupSteps ${warmupSteps} is more than the updates of the run, about ${updates}: ${low}`;
  return undefined;
}
