/**
 * Identity by reference. The backend's own copies, and the tape takes an identity of every tensor that a gradient needs: without
 * this, training holds each activation twice.
 */
import { Identity } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register } from './register.js';

export function registerIdentity({ backend }: Heap): void {
  register<{ x: TensorInfo }, object>(Identity, ({ inputs: { x } }) => {
    backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  });
}
