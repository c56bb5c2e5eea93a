/** Which parameters decay, and which have a rate of their own. */
import type { Variable } from '@tensorflow/tfjs-core';
import type { ParameterGroup } from '../method.js';

/**
 * Weights, and apart from them the parameters of one dimension: biases, scales and offsets of batch norms. Weights decay and are adapted;
 * the others never are adapted (LARS would make their rate follow a norm that starts at 0).
 *
 * @param decay `all` as SGD in PyTorch has it, or `weights` alone (SimCLR section 2.2; BYOL section 3.2)
 */
export function parameterGroups(parameters: ReadonlyMap<string, Variable>, decay: 'all' | 'weights'): ParameterGroup[] {
  const where = (isWeight: boolean) => new Map([...parameters].filter(([, { rank }]) => rank > 1 === isWeight));
  const groups = [
    { variables: where(true), decay: true, adapted: true },
    { variables: where(false), decay: decay === 'all', adapted: false },
  ];
  return groups.filter(({ variables }) => variables.size > 0);
}
