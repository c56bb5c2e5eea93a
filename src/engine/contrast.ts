/**
 * InfoNCE as the tape sees it.
 *
 * InfoNce(query, key, queue) -> loss [], negative [N, K], positive [N]: the loss and the softmax's probabilities
 * InfoNceGrad(dLoss, key, queue, negative, positive) -> dQuery
 */
import { registerGradient } from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { Engine } from './engine.js';
import { at, runKernel } from './kernel.js';

export const InfoNce = 'InfoNce';
export const InfoNceGrad = 'InfoNceGrad';

export interface InfoNceInputs {
  readonly query: TensorInfo;
  readonly key: TensorInfo;
  readonly queue: TensorInfo;
}

export interface InfoNceGradInputs {
  readonly dLoss: TensorInfo;
  readonly key: TensorInfo;
  readonly queue: TensorInfo;
  readonly negative: TensorInfo;
  readonly positive: TensorInfo;
}

export interface InfoNceAttrs {
  readonly temperature: number;
}

/** Registers the gradient for all backends; registering it again replaces it. */
export function registerInfoNceGradient(): void {
  registerGradient({
    kernelName: InfoNce,
    inputsToSave: ['key', 'queue'],
    outputsToSave: [false, true, true],
    gradFunc: (dys, saved, attrs) => {
      const dLoss = at(dys as Tensor[], 0);
      const [key, queue, negative, positive] = [0, 1, 2, 3].map((i) => at(saved, i));
      const { temperature } = attrs as unknown as InfoNceAttrs;
      const constant = (name: string) => (): never => {
        throw new Error(`InfoNCE has no gradient for its ${name}: detach it, as the key encoder and the queue are`);
      };
      return {
        query: () => at(runKernel(InfoNceGrad, { dLoss, key, queue, negative, positive }, { temperature }), 0),
        key: constant('key'),
        queue: constant('queue'),
      };
    },
  });
}

/** `Engine.infoNce` over the kernels: checks shapes, runs, and drops the outputs only the gradient needs. */
export const infoNce: Engine['infoNce'] = (query, key, queue, temperature) => {
  const [rows = 0, width = 0] = query.shape;
  if (query.rank !== 2 || key.shape.join() !== query.shape.join()) {
    throw new Error(`InfoNCE of query [${query.shape}] and key [${key.shape}]: expected two equal shapes [N, D]`);
  }
  if (queue.rank !== 2 || queue.shape[1] !== width) throw new Error(`InfoNCE queue of shape [${queue.shape}]: expected [K, ${width}]`);
  if (rows === 0 || !(temperature > 0)) throw new Error(`InfoNCE of ${rows} rows at temperature ${temperature}: expected both above 0`);
  const [loss, ...probabilities] = runKernel(InfoNce, { query, key, queue }, { temperature });
  for (const tensor of probabilities) tensor.dispose();
  return loss as Scalar;
};
