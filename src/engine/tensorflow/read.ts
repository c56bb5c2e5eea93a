/** Reading tensors without holding up what is under way. */
import { setImmediate } from 'node:timers/promises';
import type { KernelBackend } from '@tensorflow/tfjs-core';
import type { NodeBackend } from './binding.js';

/**
 * `KernelBackend.read` for tfjs-node, whose own reads in the calling thread and waits there for the device: what the caller has begun, such as
 * the next batch, gets its turn before. The values are those of the moment of the call, whatever becomes of the tensor meanwhile.
 */
export function readLater(backend: NodeBackend): KernelBackend['read'] {
  const { binding } = backend;
  return async (dataId) => {
    const { id, dtype, values } = backend.tensorMap.get(dataId);
    // What lies on the host is not waited for. Nor may strings have a second handle: each would free them.
    if (values !== null || dtype !== binding.TF_FLOAT) return backend.readSync(dataId);
    // A handle of the same memory.
    const [held] = binding.executeOp('Identity', [{ name: 'T', type: binding.TF_ATTR_TYPE, value: dtype }], [id], 1);
    if (held === undefined) return backend.readSync(dataId);
    try {
      await setImmediate();
      return binding.tensorDataSync(held.id);
    } finally {
      binding.deleteTensor(held.id);
    }
  };
}
