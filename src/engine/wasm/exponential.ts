/** Exp over assembly/exponential.ts: the losses' softmax takes an exponential of every query with every key of a queue. */
import { Cast, Exp, engine, util } from '@tensorflow/tfjs-core';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register } from './register.js';

export function registerExponential(heap: Heap): void {
  register<{ x: TensorInfo }, object>(Exp, ({ inputs: { x } }) => {
    const floats = x.dtype === 'float32' ? undefined : engine().runKernel<Tensor>(Cast, { x: x as Tensor }, { dtype: 'float32' });
    const out = heap.output(x.shape);
    heap.kernels.exponential(heap.address(floats ?? x), util.sizeFromShape(x.shape), heap.address(out));
    floats?.dispose();
    return out;
  });
}
