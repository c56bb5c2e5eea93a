/**
 * The TensorFlow.js backend over LibTorch.
 *
 * A data id stands for a tensor of LibTorch, which may be a view of another's memory: reshapes, transposes and slices copy nothing. A
 * `float32` tensor may be held as bfloat16, which is what convolutions give in that precision; whoever reads it gets float32. So may an
 * `int32` one be held as the bytes that it was uploaded from.
 */
import { DataStorage, KernelBackend, engine, util } from '@tensorflow/tfjs-core';
import type { BackendValues, DataId, DataType, Tensor, TensorInfo, TypedArray, Variable } from '@tensorflow/tfjs-core';
import type { Precision } from '../engine.js';
import { ScalarType } from './addon.js';
import type { Ref, Torch } from './torch.js';

/** Memory that one or more data ids look at. */
interface Storage {
  users: number;
}

interface Entry {
  ref: Ref;
  readonly dtype: DataType;
  readonly storage: Storage;
  refCount: number;
  /** The same values as bfloat16, while they are the same. */
  low?: Ref;
  /** The count of graph replays when `low` was made: a replay may have changed the values. */
  lowReplays?: number;
  /** Whether the memory is in the order that convolutions read filters in. */
  filterOrder?: boolean;
  /** Whether several elements lie in the same place of memory. */
  stretched?: boolean;
  /** Of a pooled tensor: where each maximum was. */
  indices?: Ref;
}

interface Strings {
  readonly strings: BackendValues;
  refCount: number;
}

/** c10::MemoryFormat's number. */
const CONTIGUOUS = 0;

/** What a tensor may be held as besides: floats as convolutions give them in that precision, and bytes that are to be sent. */
const STANDS_FOR = { float32: ScalarType.bfloat16, int32: ScalarType.uint8 } as const;

const TYPES = { float32: ScalarType.float32, int32: ScalarType.int32, bool: ScalarType.bool } as const;

export function scalarTypeOf(dtype: DataType): ScalarType {
  const type = TYPES[dtype as keyof typeof TYPES] as ScalarType | undefined;
  if (type === undefined) throw new Error(`dtype ${dtype} is not supported by the torch engine: expected float32, int32 or bool`);
  return type;
}

export class TorchBackend extends KernelBackend {
  readonly #data: DataStorage<Entry | Strings>;
  /** Captured steps that were replayed, so far. */
  replays = 0;
  /** Its tensors are gone then, and their numbers another's. */
  disposed = false;
  /** While a step is captured, host memory cannot be read: a replay would read it again. */
  capturing = false;

  constructor(
    readonly torch: Torch,
    readonly precision: Precision,
    /** `cpu`, `cuda:0` */
    readonly device: string,
  ) {
    super();
    this.#data = new DataStorage(this, engine());
  }

  // ------------------------------------------------------------ tensors in and out of kernels

  /** The tensor of LibTorch behind `info`, of any scalar type that stands for its dtype; a temporary view when the shape differs. */
  held(info: TensorInfo): Ref {
    const { ref } = this.#entry(info.dataId);
    return util.arraysEqual([...ref.shape], info.shape) ? ref : this.torch.run('aten::reshape', ref, info.shape);
  }

  /** As `held`, float32 where it is a float. */
  tensor(info: TensorInfo): Ref {
    const ref = this.held(info);
    return ref.type === ScalarType.bfloat16 ? this.cast(ref, ScalarType.float32) : ref;
  }

  /** As an operand of a convolution or matrix product: bfloat16 in that precision, kept for as long as the values are the same. */
  operand(info: TensorInfo): Ref {
    if (this.precision !== 'bf16' || info.dtype !== 'float32') return this.tensor(info);
    const entry = this.#entry(info.dataId);
    if (entry.ref.type === ScalarType.bfloat16) return this.held(info);
    if (entry.low === undefined || entry.lowReplays !== this.replays) {
      this.#dropLow(entry);
      entry.low = this.torch.adopt(this.cast(entry.ref, ScalarType.bfloat16));
      entry.lowReplays = this.replays;
    }
    const { low } = entry;
    return util.arraysEqual([...low.shape], info.shape) ? low : this.torch.run('aten::reshape', low, info.shape);
  }

  /** As `operand`, a filter [h, w, in, out], whose memory is put into the order that convolutions read. */
  filter(info: TensorInfo): Ref {
    const entry = this.#entry(info.dataId);
    // Not in a recording: each replay would order the values of that moment anew.
    if (!entry.filterOrder && !this.capturing && util.arraysEqual([...entry.ref.shape], info.shape)) {
      const ordered = this.torch.adopt(this.torch.run('detco::filter_layout', entry.ref));
      this.torch.free(entry.ref);
      entry.ref = ordered;
      entry.filterOrder = true;
      this.#dropLow(entry);
    }
    return this.operand(info);
  }

  cast(ref: Ref, type: ScalarType): Ref {
    return ref.type === type ? ref : this.torch.run('aten::to.dtype', ref, type);
  }

  /** Makes a tensor of TensorFlow.js out of a result. */
  output(ref: Ref, dtype: DataType): TensorInfo {
    const type = scalarTypeOf(dtype);
    const right = ref.type === type || ref.type === STANDS_FOR[dtype as keyof typeof STANDS_FOR];
    const result = this.torch.adopt(right ? ref : this.cast(ref, type));
    return this.#add(result, dtype, { users: 0 });
  }

  /** `output` outside a kernel, tracked as any tensor. @throws when there is none */
  tensorOf(ref: Ref | undefined, dtype: DataType): Tensor {
    if (ref === undefined) throw new Error('a recorded step gave no tensor where it did before');
    return engine().makeTensorFromTensorInfo(this.output(ref, dtype));
  }

  /** `output` of a result that looks at the memory of `source`. */
  view(ref: Ref, source: TensorInfo): TensorInfo {
    const { ref: original, storage } = this.#entry(source.dataId);
    if (ref !== original) return this.#add(this.torch.adopt(ref), source.dtype, storage);
    this.incRef(source.dataId);
    return { dataId: source.dataId, shape: [...ref.shape], dtype: source.dtype };
  }

  /** `view` whose elements share memory: an expanded axis. */
  stretched(ref: Ref, source: TensorInfo): TensorInfo {
    const info = this.view(ref, source);
    this.#entry(info.dataId).stretched = true;
    return info;
  }

  /** Keeps where the maxima of a pooled tensor were for the gradient. */
  keepIndices(pooled: TensorInfo, indices: Ref): void {
    this.#entry(pooled.dataId).indices = this.torch.adopt(indices);
  }

  indices(pooled: TensorInfo): Ref | undefined {
    return this.#entry(pooled.dataId).indices;
  }

  /**
   * The tensor of a variable, to be written in place. Data shared with another tensor (a clone, a view, the tensor it was created from) is
   * copied first, so that only the variable changes.
   */
  own(variable: Variable): Ref {
    const shared = this.#entry(variable.dataId);
    if (shared.refCount > 1 || shared.storage.users > 1 || shared.stretched) {
      if (this.capturing) {
        throw new Error(
          `variable "${variable.name}" of shape [${variable.shape}] shares its data with a clone or a view, or was assigned after the first ` +
            'calls of a compiled step, which must not write to that: dispose of the clone, or assign before',
        );
      }
      const copy = this.torch.scope(
        () => this.output(this.torch.run('aten::clone', shared.ref, shared.stretched ? CONTIGUOUS : undefined), variable.dtype),
        () => [],
      );
      const tensor = engine().makeTensorFromTensorInfo(copy);
      variable.assign(tensor);
      tensor.dispose();
      this.#entry(variable.dataId).filterOrder = shared.filterOrder ?? false;
    }
    const entry = this.#entry(variable.dataId);
    this.#dropLow(entry);
    return entry.ref;
  }

  // ------------------------------------------------------------ what TensorFlow.js asks of a backend

  override write(values: BackendValues, shape: number[], dtype: DataType): DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: DataId, values: BackendValues, shape: number[], dtype: DataType, refCount: number): void {
    if (dtype === 'string') {
      this.#data.set(dataId, { strings: values, refCount });
      return;
    }
    const ref = this.torch.adopt(this.#upload(values as TypedArray, shape, dtype));
    this.#data.set(dataId, { ref, dtype, storage: { users: 1 }, refCount });
  }

  override readSync(dataId: DataId): BackendValues {
    const entry = this.#data.get(dataId);
    if ('strings' in entry) return entry.strings;
    return this.#inFull(entry, (ref, values) => {
      this.torch.addon.read(ref.id, values);
      return values;
    });
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    const entry = this.#data.get(dataId);
    if ('strings' in entry) return entry.strings;
    if (this.device === 'cpu') return this.readSync(dataId);
    return this.#inFull(entry, (ref, values) => this.torch.addon.readLater(ref.id, values));
  }

  override disposeData(dataId: DataId, force = false): boolean {
    if (!this.#data.has(dataId)) return true;
    const entry = this.#data.get(dataId);
    entry.refCount--;
    if (!force && entry.refCount > 0) return false;
    this.#data.delete(dataId);
    if ('strings' in entry || this.disposed) return true;
    entry.storage.users--;
    this.torch.free(entry.ref);
    this.#dropLow(entry);
    if (entry.indices) this.torch.free(entry.indices);
    return true;
  }

  override refCount(dataId: DataId): number {
    return this.#data.has(dataId) ? this.#data.get(dataId).refCount : 0;
  }

  override incRef(dataId: DataId): void {
    this.#data.get(dataId).refCount++;
  }

  override numDataIds(): number {
    return this.#data.numDataIds();
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override timerAvailable(): boolean {
    return true;
  }

  /** Milliseconds of device work in `body`. */
  override async time(body: () => void): Promise<{ kernelMs: number }> {
    this.torch.addon.synchronize();
    const began = performance.now();
    body();
    this.torch.addon.synchronize();
    return { kernelMs: performance.now() - began };
  }

  override dispose(): void {
    this.disposed = true;
    this.torch.addon.clear();
  }

  #entry(dataId: DataId): Entry {
    if (this.disposed) throw new Error('a tensor is used after its engine was disposed of');
    if (!this.#data.has(dataId)) throw new Error('a tensor is used after it was disposed of');
    const entry = this.#data.get(dataId);
    if ('strings' in entry) throw new Error('string tensors can be held and read by the torch engine, not computed with');
    return entry;
  }

  #add(ref: Ref, dtype: DataType, storage: Storage): TensorInfo {
    const dataId = {};
    storage.users++;
    this.#data.set(dataId, { ref, dtype, storage, refCount: 1 });
    return { dataId, shape: [...ref.shape], dtype };
  }

  #upload(values: TypedArray, shape: readonly number[], dtype: DataType): Ref {
    const [first = 0] = values;
    // One number travels with the call: no copy to the device, and a captured step may hold it.
    const uniform = (this.device !== 'cpu' || this.capturing) && (values.length === 1 || values.every((value) => value === first));
    if (uniform) return this.torch.run('aten::full', shape, first, scalarTypeOf(dtype), undefined, this.device);
    if (this.capturing)
      throw new Error(`${values.length} values from the host inside a compiled step: they would stay as they are; make them an input`);
    return this.torch.upload(values, scalarTypeOf(dtype), shape);
  }

  /** Gives `copy` the tensor as it is seen from outside, and room for its values. */
  #inFull<T>({ ref, dtype }: Entry, copy: (ref: Ref, values: TypedArray) => T): T {
    if (this.capturing)
      throw new Error('a compiled step reads a tensor: replays would go on with the value of this call; read its outputs');
    const values = util.getTypedArrayFromDType(dtype as 'float32', util.sizeFromShape([...ref.shape]));
    return this.torch.scope(
      () => copy(this.torch.run('aten::contiguous', this.cast(ref, scalarTypeOf(dtype))), values),
      () => [],
    );
  }

  #dropLow(entry: Entry): void {
    if (entry.low) this.torch.free(entry.low);
    delete entry.low;
  }
}
