import { tensor, type Variable } from '@tensorflow/tfjs-core';
import type { StoredTensor } from '../../common/safetensors.js';

/**
 * Puts values into the variables of the same names; the others keep theirs.
 * @throws RangeError for a name that no variable has
 */
export function assign(variables: ReadonlyMap<string, Variable>, values: ReadonlyMap<string, StoredTensor>): void {
  for (const [name, { data, shape }] of values) {
    const variable = variables.get(name);
    if (!variable) throw new RangeError(`There is no variable "${name}"`);
    const value = tensor(data, [...shape]);
    variable.assign(value);
    value.dispose();
  }
}
