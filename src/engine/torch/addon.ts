/** What native/torch exports to JavaScript: LibTorch's tensors by number, its operators by name. */
import type { TypedArray } from '@tensorflow/tfjs-core';

/** c10::ScalarType's numbers of the element types in use. */
export const ScalarType = { uint8: 0, int32: 3, int64: 4, float32: 6, float64: 7, bool: 11, bfloat16: 15 } as const;
export type ScalarType = (typeof ScalarType)[keyof typeof ScalarType];

/** Undefined takes the default of the operator's schema, null is None. Tensors are their numbers. */
export type Argument = number | boolean | string | null | undefined | readonly number[] | readonly boolean[];

export interface TorchInfo {
  /** LibTorch's, `2.11.0`. */
  readonly version: string;
  readonly threads: number;
  /** The CPU whose kernels OpenBLAS has taken, `SkylakeX`; absent with another BLAS. */
  readonly openblasCore?: string;
  readonly cudaDevices: readonly { readonly name: string; readonly capability: string; readonly totalBytes: number }[];
  /** Why there are no CUDA devices. */
  readonly cudaReason?: string;
  /** What several ranks can pass tensors by: Gloo on CPUs, NCCL on GPUs. */
  readonly rankTransports: readonly ('gloo' | 'nccl')[];
}

export interface AddonMemory {
  /** Tensors that JavaScript holds. */
  readonly tensors: number;
  /** CPU: bytes of freed tensors that are kept for the next. */
  readonly cachedBytes?: number;
  /** CUDA: bytes in tensors, bytes taken from the device, and the most that tensors took. */
  readonly allocatedBytes?: number;
  readonly reservedBytes?: number;
  readonly peakBytes?: number;
}

export interface TorchAddon {
  /** Results: for each tensor its number (0: undefined), scalar type, rank and sizes. */
  readonly mail: Int32Array;
  /** The number of an operator, `aten::add.Tensor`. */
  operator(name: string): number;
  /** Runs an operator; gives the number of tensors in the mail. @throws Error with the shapes that it was given */
  call(operator: number, ...args: Argument[]): number;
  /** Copies host memory to a tensor, which the mail then holds; the array may change afterwards. */
  upload(values: TypedArray | Float64Array, type: ScalarType, shape: readonly number[]): void;
  /** Opens nvJPEG for `decodeJpegs` on the device. @throws Error where the library or the GPU cannot */
  openJpegDecoder(library: string): void;
  /**
   * Decodes JPEGs to one tensor, uint8, of all their pixels, RGB, back to back, which the mail then holds. The arrays may change afterwards.
   * Gives the ordinals of those that the decoder refused.
   */
  decodeJpegs(files: readonly Uint8Array[], widths: readonly number[], heights: readonly number[]): number[];
  /** Copies a tensor into an array of its size and type; waits for the device. */
  read(tensor: number, into: TypedArray): void;
  /** `read` that waits on another thread. */
  readLater<T extends TypedArray>(tensor: number, into: T): Promise<T>;
  free(tensor: number): void;
  /** Frees every tensor and graph. */
  clear(): void;
  info(): TorchInfo;
  /** @param options.device `cpu`, `cuda:0` */
  configure(options: { readonly device: string; readonly threads?: number; readonly tf32: boolean }): void;
  memory(): AddonMemory;
  synchronize(): void;
  /** CPU: whether calls run on as many threads as each has in a program, which runs several at once, or on all. */
  limitThreads(limited: boolean): void;
  /** CPU: calls up to `recordEnd` are recorded as they run. @param inputs numbers of the tensors that differ from run to run */
  recordBegin(inputs: readonly number[]): void;
  /** The number of the program. @param outputs numbers of the tensors that it gives; without them the record is dropped */
  recordEnd(outputs: readonly number[]): number;
  recordEnd(): undefined;
  /** Lets go of what a program holds: the variables that it reads and writes to. */
  releaseProgram(program: number): void;
  /** Runs a program on other inputs; gives the number of outputs in the mail. */
  runProgram(program: number, inputs: readonly number[]): number;
  /** CUDA: calls up to `captureEnd` are recorded, not run. */
  captureBegin(): void;
  /** The number of the graph. */
  captureEnd(): number;
  replay(graph: number): void;
  releaseGraph(graph: number): void;
  /** Connects with the store that all ranks see, which one of them serves. Rejects when nobody answers for so long. */
  openStore(host: string, port: number, serve: boolean, timeoutMs: number): Promise<void>;
  setInStore(key: string, value: string): void;
  /** Does not wait for a key that is not there. */
  getFromStore(key: string): string | undefined;
  /** Adds one to a number that begins at 0, and gives it. */
  countInStore(key: string): number;
  /** Counts as often, until `closeStore`, whatever this thread waits for. */
  beatInStore(key: string, everyMs: number): void;
  /** Connects the device of `configure` with that of each other rank, which counts by `beatInStore` at `PREFIXbeat/RANK`; all have to call it. */
  joinRanks(rank: number, size: number, prefix: string, timeoutMs: number): Promise<void>;
  /** Closes these connections: who waits for this rank gets an error. */
  leaveRanks(): void;
  closeStore(): void;
  /** What this rank gave to collectives. */
  rankTraffic(): { readonly calls: number; readonly bytes: number };
}
