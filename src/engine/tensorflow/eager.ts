/** TensorFlow's operations by name, on the addon's tensors: what a kernel makes and does not give as a result is freed. */
import { Tensor } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Binding, BindingTensor, NodeBackend, OpAttribute } from './binding.js';

/** A tensor of the addon. */
export type Ref = BindingTensor;

/** Attributes of operations. Whole numbers are `int`; `float`, `type` and the rest go by their names. */
export interface Attributes {
  readonly type?: Readonly<Record<string, number>>;
  readonly int?: Readonly<Record<string, number | readonly number[]>>;
  readonly float?: Readonly<Record<string, number>>;
  readonly bool?: Readonly<Record<string, boolean>>;
  readonly string?: Readonly<Record<string, string>>;
  readonly shape?: Readonly<Record<string, readonly number[]>>;
}

export class Eager {
  readonly binding: Binding;
  readonly #backend: NodeBackend;
  readonly #made = new Set<number>();
  /** `{ T: float32 }`, which nearly every operation takes. */
  readonly T: { readonly T: number };

  private constructor(backend: NodeBackend) {
    this.#backend = backend;
    this.binding = backend.binding;
    this.T = { T: this.binding.TF_FLOAT };
  }

  /** Runs `body`, then frees all that it made and did not `give`, also where it throws. */
  static scope<T>(backend: NodeBackend, body: (eager: Eager) => T): T {
    const eager = new Eager(backend);
    try {
      return body(eager);
    } finally {
      for (const id of eager.#made) eager.binding.deleteTensor(id);
    }
  }

  /** The addon's tensor behind one of TensorFlow.js, which goes on owning it. */
  of(tensor: TensorInfo): Ref {
    if (tensor instanceof Tensor && tensor.isDisposed) throw new Error('a tensor is used after it was disposed of');
    const [id = -1] = this.#backend.getInputTensorIds([tensor]);
    return { id, shape: tensor.shape, dtype: this.binding.TF_FLOAT };
  }

  /** Runs an operation that has one output. */
  run(name: string, inputs: readonly Ref[], attributes: Attributes = { type: this.T }): Ref {
    return this.runAll(name, inputs, 1, attributes)[0] as Ref;
  }

  /** Runs an operation that has several outputs. */
  runAll(name: string, inputs: readonly Ref[], outputs: number, attributes: Attributes = { type: this.T }): Ref[] {
    const ids = inputs.map(({ id }) => id);
    const results = this.binding.executeOp(name, this.#attributes(attributes), ids, outputs);
    for (const { id } of results) this.#made.add(id);
    return results;
  }

  /** A constant on the host, where TensorFlow takes shapes, axes and sizes. */
  integers(values: number | readonly number[], shape = typeof values === 'number' ? [] : [values.length]): Ref {
    return this.#create(shape, this.binding.TF_INT32, Int32Array.from([values].flat()));
  }

  floats(values: number | readonly number[]): Ref {
    const shape = typeof values === 'number' ? [] : [values.length];
    return this.#create(shape, this.binding.TF_FLOAT, Float32Array.from([values].flat()));
  }

  /** The tensor may point at the bytes for as long as it lives: no longer than this scope. */
  bytes(values: Uint8Array, shape: readonly number[]): Ref {
    return this.#create([...shape], this.binding.TF_UINT8, values);
  }

  /** The same values under another shape: no copy. */
  reshape(x: Ref, shape: readonly number[]): Ref {
    return this.run('Reshape', [x, this.integers(shape)], { type: { ...this.T, Tshape: this.binding.TF_INT32 } });
  }

  /** Frees a tensor that was made here before the scope ends: activations of a whole batch are large. */
  free(...tensors: readonly Ref[]): void {
    for (const { id } of tensors) if (this.#made.delete(id)) this.binding.deleteTensor(id);
  }

  /** Gives a tensor that was made here to TensorFlow.js. */
  give(tensor: Ref): Tensor {
    this.release(tensor);
    return this.#backend.createOutputTensor(tensor);
  }

  /** The number of a tensor that was made here and that its taker frees. */
  release({ id, shape }: Ref): number {
    if (!this.#made.delete(id)) throw new Error(`tensor ${id} of shape [${shape}] is not this kernel's to give`);
    return id;
  }

  #create(shape: number[], dtype: number, values: ArrayBufferView): Ref {
    const id = this.binding.createTensor(shape, dtype, values);
    this.#made.add(id);
    return { id, shape, dtype };
  }

  #attributes({ type = {}, int = {}, float = {}, bool = {}, string = {}, shape = {} }: Attributes): OpAttribute[] {
    const { TF_ATTR_TYPE, TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_BOOL, TF_ATTR_STRING, TF_ATTR_SHAPE } = this.binding;
    const list: OpAttribute[] = [];
    for (const [name, value] of Object.entries(type)) list.push({ name, type: TF_ATTR_TYPE, value });
    for (const [name, value] of Object.entries(int)) list.push({ name, type: TF_ATTR_INT, value });
    for (const [name, value] of Object.entries(float)) list.push({ name, type: TF_ATTR_FLOAT, value });
    for (const [name, value] of Object.entries(bool)) list.push({ name, type: TF_ATTR_BOOL, value });
    for (const [name, value] of Object.entries(string)) list.push({ name, type: TF_ATTR_STRING, value });
    for (const [name, value] of Object.entries(shape)) list.push({ name, type: TF_ATTR_SHAPE, value });
    return list;
  }
}
