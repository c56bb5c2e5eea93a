/** Learning rates, set once an epoch as MoCo does (main_moco.py `adjust_learning_rate`), with optional linear warm-up. */

export type Schedule =
  /** lr/2 (1 + cos(pi e / E)): to 0 over all epochs. */
  | { readonly kind: 'cosine' }
  /** lr times `factor` for every milestone (epoch) that has been reached. */
  | { readonly kind: 'step'; readonly milestones: readonly number[]; readonly factor: number };

/** How the rate goes with the batch: by batch/256 (Goyal et al. 2017, section 2.1), or by its square root (SimCLR, appendix B.1). */
export const LR_SCALINGS = ['linear', 'sqrt'] as const;

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
