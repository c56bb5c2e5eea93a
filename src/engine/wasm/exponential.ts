/** Exp over assembly/exponential.ts: the losses' softmax takes an exponential of every query with every key of a queue. */
import { Exp, util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register } from './register.js';

export function registerExponential(heap: Heap): void {
  register<{ x: TensorInfo }, object>(Exp, ({ inputs: { x } }) => {
    const out = heap.output(x.shape);
    heap.kernels.exponential(heap.address(x), util.sizeFromShape(x.shape), heap.address(out));
    return out;
  });
}
