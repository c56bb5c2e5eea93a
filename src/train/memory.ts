/** What an update that does not fit into memory says: the engine names what was asked for, whoever trains chooses the batch. */
import { types } from 'node:util';

/**
 * LibTorch's CUDA allocator ("CUDA out of memory. Tried to allocate 20.00 GiB ..."), the CUDA driver ("CUDA error: out of memory"), the CPU
 * allocator of native/torch ("out of memory: asked for 64 bytes ...") and LibTorch's own ("DefaultCPUAllocator: can't allocate memory");
 * TensorFlow's on either device ("OOM when allocating tensor with shape[1048576,268435456] ..."), its copy to a GPU ("Dst tensor is not
 * initialized."), and what tfjs-node puts before whatever else TensorFlow has run out of ("Invalid TF_Status: 8": RESOURCE_EXHAUSTED).
 */
const OUT_OF_MEMORY =
  /out of memory|DefaultCPUAllocator: (can't allocate|not enough) memory|OOM when allocating tensor|Dst tensor is not initialized|Invalid TF_Status: 8\b/i;

/** @returns what to throw instead of `error`: for an allocation that failed one with the batch to try, else `error` itself */
export function explainOutOfMemory(error: unknown, { batch, step }: { readonly batch: number; readonly step: number }): unknown {
  // An addon's errors may be of another realm than this module's `Error`.
  if (!types.isNativeError(error) || !OUT_OF_MEMORY.test(error.message)) return error;
  const half = Math.floor(batch / 2);
  const remedy = half > 0 ? `start another run with --batch ${half}` : 'start another run with smaller images or a smaller model';
  return new Error(`A batch of ${batch} does not fit into memory after step ${step}: ${error.message}; ${remedy}`, { cause: error });
}
