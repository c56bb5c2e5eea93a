/** What makes a loss no number, by the values of a run. */
import type { TrainConfig } from './config-schema.js';

/** @param rate learning rate of the update */
export function likelyCauses({ method, precision, warmupSteps, warmupEpochs }: TrainConfig, rate: number): string {
  const causes = [
    `learning rate ${Number(rate.toPrecision(3))} (a lower --lr${warmupSteps + warmupEpochs > 0 ? '' : ', or warmupEpochs'})`,
    // Cosines are divided by it before they are exponents.
    ...('temperature' in method ? [`temperature ${method.temperature} (a higher method.temperature)`] : []),
    ...(precision === 'fp32' ? [] : [`precision ${precision} (--precision fp32)`]),
  ];
  return `Likely causes, and what to try: ${causes.join('; ')}`;
}
