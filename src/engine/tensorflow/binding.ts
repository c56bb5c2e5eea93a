/** The parts of tfjs-node that the engine uses: the addon over TensorFlow's C API, and the TensorFlow.js backend over the addon. */
import type { DataId, KernelBackend, Tensor, TensorInfo } from '@tensorflow/tfjs-core';

/** An attribute of a TensorFlow operation; `type` is one of the addon's `TF_ATTR_` numbers. */
export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: boolean | number | string | readonly number[];
}

/** What an operation gives: the addon's number of the tensor, its shape, and TensorFlow's number of its type. */
export interface BindingTensor {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** `tfjs_binding.node`. Numbers of tensors are never used twice in a process. */
export interface Binding {
  /** The tensor may point at `values` for as long as it lives. */
  createTensor(shape: readonly number[], dtype: number, values: ArrayBufferView): number;
  /** @throws when there is no such tensor */
  deleteTensor(id: number): void;
  /** A copy; waits for the device. */
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  /** Runs an operation of TensorFlow by its name. @throws Error with TensorFlow's code and message */
  executeOp(name: string, attributes: readonly OpAttribute[], inputs: readonly number[], outputs: number): BindingTensor[];
  isUsingGpuDevice(): boolean;
  /** Tensors that JavaScript holds. */
  getNumOfTensors(): number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_UINT8: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  /** `2.21.0` */
  readonly TF_Version: string;
}

/** tfjs-node's `NodeJSKernelBackend`. */
export interface NodeBackend extends KernelBackend {
  /** All kernels reach the addon through this. */
  binding: Binding;
  /** The addon's numbers of tensors; what was not yet given to TensorFlow is. */
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  /** A tensor of TensorFlow.js that owns the addon's. */
  createOutputTensor(tensor: BindingTensor): Tensor;
  /** Tensors of TensorFlow.js that share the data. */
  refCount(dataId: DataId): number;
  /** What is behind data: the addon's tensor with TensorFlow's number of its type, or `values` that TensorFlow was not yet given. */
  readonly tensorMap: { get(dataId: DataId): { id: number; readonly dtype: number; readonly values: object | null } };
}
