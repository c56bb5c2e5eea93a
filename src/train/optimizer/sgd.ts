/** Stochastic gradient descent with momentum, as PyTorch's SGD: v <- m v + (g + d p); p <- p - lr v. */
import { type Variable, variable, zeros } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine } from '../../engine/engine.js';
import type { Optimizer } from './optimizer.js';

const share = z.number().min(0).max(1);

export const sgdSchema = z.strictObject({ name: z.literal('sgd'), momentum: share.default(0.9), weightDecay: share.default(1e-4) });
export type SgdOptions = Readonly<Omit<z.output<typeof sgdSchema>, 'name'>>;

/** Its state is the velocities, which start as zeros. */
export function sgd(engine: Engine, parameters: ReadonlyMap<string, Variable>, { momentum, weightDecay }: SgdOptions): Optimizer {
  const state = zerosLike(parameters);
  const [targets, velocities] = [[...parameters.values()], [...state.values()]];
  return {
    state,
    update: (gradients, learningRate) => engine.sgd(targets, gradients, velocities, { learningRate, momentum, weightDecay }),
    dispose() {
      for (const velocity of velocities) velocity.dispose();
    },
  };
}

/** A variable of zeros for each parameter. */
export function zerosLike(parameters: ReadonlyMap<string, Variable>): ReadonlyMap<string, Variable> {
  return new Map(
    [...parameters].map(([name, { shape }]) => {
      const start = zeros(shape);
      const state = variable(start, false);
      start.dispose();
      return [name, state];
    }),
  );
}
