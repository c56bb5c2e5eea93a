/** Stochastic gradient descent with momentum, as PyTorch's SGD: v <- m v + (g + d p); p <- p - lr v. */
import { dispose, type Tensor, type Variable, variable, zeros } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine } from '../../engine/engine.js';
import type { ParameterGroup } from '../../model/index.js';
import type { Optimizer } from './optimizer.js';

const share = z.number().min(0).max(1);

export const sgdSchema = z.strictObject({ name: z.literal('sgd'), momentum: share.default(0.9), weightDecay: share.default(1e-4) });
export type SgdOptions = Readonly<Omit<z.output<typeof sgdSchema>, 'name'>>;

/** Its state is the velocities, which start as zeros. */
export function sgd(engine: Engine, groups: readonly ParameterGroup[], { momentum, weightDecay }: SgdOptions): Optimizer {
  const parts = groups.map(({ variables, decay }) => ({
    names: [...variables.keys()],
    parameters: [...variables.values()],
    velocities: [...variables.values()].map(zeroed),
    weightDecay: decay ? weightDecay : 0,
  }));
  return {
    state: new Map(parts.flatMap(({ names, velocities }) => names.map((name, i) => [name, velocities[i] as Variable]))),
    update(gradients, learningRate) {
      for (const { names, parameters, velocities, weightDecay } of parts) {
        const ordered = names.map((name) => gradients[name] as Tensor);
        engine.sgd(parameters, ordered, velocities, { learningRate, momentum, weightDecay });
      }
    },
    dispose: () => dispose(parts.flatMap(({ velocities }) => velocities)),
  };
}

/** A variable of zeros of this one's shape. */
function zeroed({ shape }: Variable): Variable {
  const start = zeros(shape);
  const velocity = variable(start, false);
  start.dispose();
  return velocity;
}
