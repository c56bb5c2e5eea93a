/**
 * The heap of the TensorFlow.js WebAssembly backend, shared by its own kernels and ours.
 *
 * Our module (assembly/) imports the backend's memory, so a tensor is an address to both and nothing is copied.
 * Memory may grow at any allocation, which detaches views of it: take a view, use it, drop it.
 */
import { readFile } from 'node:fs/promises';
import type { DataType, Tensor, TensorInfo, Variable } from '@tensorflow/tfjs-core';
import { engine, util } from '@tensorflow/tfjs-core';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { Kernels } from './kernels.js';

/** WebAssembly as used here: its types come only with the DOM's, which a Node program has no use for. */
interface Memory {
  readonly buffer: ArrayBuffer;
}
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  instantiate(bytes: Uint8Array, imports: { env: { memory: Memory } }): Promise<{ instance: { exports: unknown } }>;
}
const { WebAssembly } = globalThis as unknown as { WebAssembly?: WebAssemblyApi };

/** The part of the backend's emscripten module that its type declarations leave out. */
interface Emscripten {
  readonly asm: { readonly memory: Memory };
  _malloc(bytes: number): number;
  _free(address: number): void;
}

/** Bytes that 32-bit addresses reach. */
const HEAP_LIMIT = 2 ** 32;

/** The same kernels twice: with relaxed SIMD's fused multiply-adds, a quarter faster, and without. */
const FILES = ['kernels-relaxed.wasm', 'kernels.wasm'] as const;

async function readKernels(file: (typeof FILES)[number]): Promise<Uint8Array> {
  const url = new URL(`./${file}`, import.meta.url);
  return readFile(url).catch((cause: unknown) => {
    throw new Error(`cannot read the engine's kernels at ${url.pathname}: run "npm run build:kernels" or reinstall the package`, { cause });
  });
}

/** The first kernels that this Node can run, or undefined (no WebAssembly, or no SIMD). */
export async function findKernels(): Promise<{ bytes: Uint8Array; fused: boolean } | undefined> {
  for (const file of FILES) {
    const bytes = await readKernels(file);
    if (WebAssembly?.validate(bytes) === true) return { bytes, fused: file === 'kernels-relaxed.wasm' };
  }
  return undefined;
}

/**
 * Makes every allocation of the backend fail loudly. Its malloc takes a size modulo 4 GiB and answers 0 when there is no room, and
 * neither is checked: tensors would lie over each other.
 */
function guardAllocation(emscripten: Emscripten): void {
  // The first call makes emscripten put the real function in place of its stub; only then is there something to wrap.
  emscripten._free(emscripten._malloc(1));
  const allocate = emscripten._malloc;
  emscripten._malloc = (bytes) => {
    const address = bytes < HEAP_LIMIT ? allocate(bytes) : 0;
    if (address === 0) {
      throw new RangeError(
        `no room for ${bytes} bytes beside the ${emscripten.asm.memory.buffer.byteLength} in use: the engine wasm holds at most 4 GiB, ` +
          'other engines all that the machine has',
      );
    }
    return address;
  };
}

export class Heap {
  private scratchAddress = 0;
  private scratchBytes = 0;

  private constructor(
    readonly backend: BackendWasm,
    readonly kernels: Kernels,
    private readonly emscripten: Emscripten,
    /** Whether the kernels use fused multiply-adds. */
    readonly fused: boolean,
  ) {}

  /** Compiles the kernels against the memory of `backend`. */
  static async create(backend: BackendWasm): Promise<Heap> {
    const emscripten = backend.wasm as unknown as Emscripten;
    const { memory } = emscripten.asm;
    guardAllocation(emscripten);
    const found = await findKernels();
    if (WebAssembly === undefined || found === undefined) throw new Error('this Node runs no WebAssembly with SIMD');
    const { instance } = await WebAssembly.instantiate(found.bytes, { env: { memory } });
    return new Heap(backend, instance.exports as Kernels, emscripten, found.fused);
  }

  /** Where the elements of a tensor begin. */
  address(tensor: TensorInfo): number {
    return this.backend.dataIdMap.get(tensor.dataId).memoryOffset;
  }

  /** An uninitialised tensor. */
  output(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    return this.backend.makeOutput([...shape], dtype);
  }

  /** Room for `bytes` until the next call: one grow-only block, so that steady training allocates nothing. */
  scratch(bytes: number): number {
    if (bytes > this.scratchBytes) {
      if (this.scratchAddress !== 0) this.emscripten._free(this.scratchAddress);
      [this.scratchAddress, this.scratchBytes] = [0, 0];
      this.scratchAddress = this.emscripten._malloc(bytes) >>> 0;
      this.scratchBytes = bytes;
    }
    return this.scratchAddress;
  }

  /** Copies integers or bytes to an address. */
  write(address: number, values: Uint8Array | Int32Array): void {
    new Uint8Array(this.emscripten.asm.memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), address);
  }

  /** Copies within the heap. */
  copy(target: number, source: number, bytes: number): void {
    new Uint8Array(this.emscripten.asm.memory.buffer).copyWithin(target, source, source + bytes);
  }

  /**
   * Makes a variable safe to write in place and gives its address. Data shared with another tensor (a clone, the tensor it was
   * created from) is copied first, so that only the variable changes.
   */
  own(variable: Variable): number {
    if (this.backend.refCount(variable.dataId) > 1) {
      const copy = engine().makeTensorFromTensorInfo(this.output(variable.shape, variable.dtype));
      this.copy(this.address(copy), this.address(variable), variable.size * util.bytesPerElement(variable.dtype));
      variable.assign(copy);
      copy.dispose();
    }
    return this.address(variable);
  }

  /**
   * To be called after a tensor was written in place. XNNPACK packs filters and right-hand sides once for each tensor id; registering
   * the id anew drops what it packed (and keeps the memory).
   */
  changed(tensor: Tensor): void {
    const { id, memoryOffset } = this.backend.dataIdMap.get(tensor.dataId);
    this.backend.wasm.tfjs.disposeData(id);
    this.backend.wasm.tfjs.registerTensor(id, tensor.size, memoryOffset);
  }
}
