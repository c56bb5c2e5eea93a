/** Divides an epoch by samples, and sees to it that every rank gets its batches. */
import { epochSteps, type PlanOptions, sampleCount, type SampleDivision } from './lanes.js';

export interface DivisionOptions {
  readonly lanes: number;
  readonly worldSize: number;
  readonly batchSize: number;
  readonly dropLast: boolean;
}

/**
 * @param counts samples of each shard
 * @throws RangeError when there is too little data for the ranks, quoting the numbers
 */
export function divideSamples(counts: readonly number[], options: DivisionOptions): SampleDivision {
  const division = { counts, dropLast: options.dropLast };
  const problem = tooLittle(division, options);
  if (problem !== undefined) throw new RangeError(`Pipeline option ${problem}`);
  return division;
}

function tooLittle(division: SampleDivision, { lanes, worldSize, batchSize }: DivisionOptions): string | undefined {
  const samples = sampleCount(division);
  if (samples < batchSize * worldSize) {
    return `batchSize: ${batchSize} on worldSize ${worldSize} are ${batchSize * worldSize} samples a step, and the shards have ${samples}; use batchSize ${Math.max(1, Math.floor(samples / worldSize))} or less, or fewer ranks`;
  }
  if (samples < lanes) return `lanes: ${lanes} lanes for ${samples} samples; use at most ${samples} lanes`;
  const plan: PlanOptions = { shards: division.counts.length, lanes, seed: 0, shuffle: 0, division };
  if (epochSteps(plan, worldSize, batchSize) === 0) {
    const each = Math.floor(samples / lanes) * (lanes / worldSize);
    return `batchSize: ${batchSize} is more than the ${each} samples that each of ${worldSize} ranks gets when ${samples} samples are cut into ${lanes} equal lanes; use at most ${each}, or fewer lanes`;
  }
  return undefined;
}
