/** Projection heads and predictors: linear layers `fc1`, `fc2`, ... with ReLU between, and batch norms `bn1`, ... where asked. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { batchNorm, batchNormBuffers, linear, type NetworkSpecs, type ParameterSpec } from './parameters.js';
import type { Layers } from './network.js';

export interface Mlp extends NetworkSpecs {
  /** [N, in] -> [N, out], not normalised. */
  readonly forward: (layers: Layers, x: Tensor2D) => Tensor2D;
}

/**
 * @param name what its parameters' names begin with: `head.fc1.weight`
 * @param widths inputs, hidden layers, outputs
 * @param options.norm which linear layers a batch norm follows: none (MoCo v2), the `hidden` ones (BYOL), or `all` (SimCLR)
 * @param options.bias which linear layers have a bias: by default all
 */
export function mlp(
  name: string,
  widths: readonly number[],
  { norm = 'none', bias = 'all' }: { readonly norm?: 'none' | 'hidden' | 'all'; readonly bias?: 'none' | 'hidden' | 'all' } = {},
): Mlp {
  const depth = widths.length - 1;
  const reaches = (which: 'none' | 'hidden' | 'all', layer: number): boolean => which === 'all' || (which === 'hidden' && layer < depth);
  const parameters: ParameterSpec[] = [];
  const buffers: ParameterSpec[] = [];
  for (let layer = 1; layer <= depth; layer++) {
    const [inputs, outputs] = [widths[layer - 1], widths[layer]] as [number, number];
    const [weight, offset] = linear(`${name}.fc${layer}`, inputs, outputs) as [ParameterSpec, ParameterSpec];
    parameters.push(weight, ...(reaches(bias, layer) ? [offset] : []));
    if (!reaches(norm, layer)) continue;
    parameters.push(...batchNorm(`${name}.bn${layer}`, outputs));
    buffers.push(...batchNormBuffers(`${name}.bn${layer}`, outputs));
  }
  const forward = (layers: Layers, x: Tensor2D): Tensor2D => {
    let y = x;
    for (let layer = 1; layer <= depth; layer++) {
      const hidden = layer < depth;
      y = layers.linear(`${name}.fc${layer}`, y);
      if (reaches(norm, layer)) y = layers.norm(`${name}.bn${layer}`, y, { relu: hidden });
      else if (hidden) y = tf.relu(y);
    }
    return y;
  };
  return { parameters, buffers, forward };
}
