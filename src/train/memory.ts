/** What does not fit into memory: an update, of which the engine names what was asked for, and a method with its networks, told before they are made. */
import { types } from 'node:util';
import type { Engine } from '../engine/engine.js';
import { methodKind } from '../model/index.js';
import { usableMemory } from '../pipeline/machine.js';
import type { TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';

/** What WebAssembly addresses. */
const WASM_BYTES = 2 ** 32;

/** @throws OptionsError where what the method keeps alone is more than the memory of the machine; a GPU is asked when it is made */
export function assertStateFits(
  { method, batch }: Pick<TrainConfig, 'method' | 'batch'>,
  { name, device }: Pick<Engine, 'name' | 'device'>,
): void {
  if (device !== 'cpu') return;
  const excess = methodKind(method.name).excess?.(method, { batch, bytes: memoryOf(name) });
  if (excess !== undefined) throw new OptionsError(excess);
}

/** Of the memory, beside the networks that the run is about. */
const PROBE_SHARE = 1 / 4;

/** Bytes that a linear probe may take beside a run; a GPU is asked when they are taken. */
export function probeRoom({ name, device }: Pick<Engine, 'name' | 'device'>): number {
  return device === 'cpu' ? PROBE_SHARE * memoryOf(name) : Infinity;
}

function memoryOf(engine: Engine['name']): number {
  return engine === 'wasm' ? Math.min(WASM_BYTES, usableMemory()) : usableMemory();
}

/**
 * LibTorch's CUDA allocator ("CUDA out of memory. Tried to allocate 20.00 GiB ..."), the CUDA driver ("CUDA error: out of memory"), the CPU
 * allocator of native/torch ("out of memory: asked for 64 bytes ...") and LibTorch's own ("DefaultCPUAllocator: can't allocate memory");
 * TensorFlow's on either device ("OOM when allocating tensor with shape[1048576,268435456] ..."), its copy to a GPU ("Dst tensor is not
 * initialized."), and what tfjs-node puts before whatever else TensorFlow has run out of ("Invalid TF_Status: 8": RESOURCE_EXHAUSTED).
 */
const OUT_OF_MEMORY =
  /out of memory|DefaultCPUAllocator: (can't allocate|not enough) memory|OOM when allocating tensor|Dst tensor is not initialized|Invalid TF_Status: 8\b/i;

/** Of `engine/wasm/heap.ts`: of all engines this one alone can have less than the machine. */
const OUT_OF_WASM_MEMORY = /^no room for \d+ bytes beside the \d+ in use/;

/** @returns what to throw instead of `error`: for an allocation that failed one with the batch to try, else `error` itself */
export function explainOutOfMemory(error: unknown, { batch, step }: { readonly batch: number; readonly step: number }): unknown {
  // An addon's errors may be of another realm than this module's `Error`.
  if (!types.isNativeError(error)) return error;
  const wasm = OUT_OF_WASM_MEMORY.test(error.message);
  if (!wasm && !OUT_OF_MEMORY.test(error.message)) return error;
  const half = Math.floor(batch / 2);
  const smaller = half > 0 ? `--batch ${half}` : 'smaller images (recipe.globalSize) or a smaller network (method.arch)';
  const remedy = `start another run with ${smaller}${wasm ? ', or on another engine: npx detco doctor shows which there are' : ''}`;
  return new Error(`A batch of ${batch} does not fit into memory after step ${step}: ${error.message}; ${remedy}`, { cause: error });
}
