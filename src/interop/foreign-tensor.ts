/** A tensor in somebody's file: its type and shape are known, its values are read when they are asked for. */
import { counted } from '../common/counted.js';
import { size } from '../model/network/parameters.js';
import { DTYPE_BYTES, type Dtype, FLOATS, isFloat, toFloat32 } from './dtype.js';
import { WeightsError } from './weights-error.js';

/** Where the values of a tensor lie. */
export interface Layout {
  /** In values. */
  readonly offset: number;
  /** Steps from one value to the next along each side, in values; row by row when absent. */
  readonly strides?: readonly number[];
}

/** Most values of a tensor that repeats what the file has once: more than any filter of a ResNet-101 takes, and 16 MiB. */
export const MOST_REPEATED = 2 ** 22;

export class ForeignTensor {
  /** As safetensors names it. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly #read: () => Promise<Uint8Array>;
  readonly #layout: Layout;

  /** @param read the bytes of what it lies in, which may hold other tensors as well */
  constructor(dtype: string, shape: readonly number[], read: () => Promise<Uint8Array>, layout: Layout = { offset: 0 }) {
    this.dtype = dtype;
    this.shape = shape;
    this.#read = read;
    this.#layout = layout;
  }

  /**
   * Its values as float32, row by row.
   * @throws WeightsError for integers, where there are too few bytes for the shape, and for more than `MOST_REPEATED` values of fewer bytes
   */
  async values(): Promise<Float32Array> {
    if (!isFloat(this.dtype)) throw new WeightsError(`is of ${this.dtype}: expected ${FLOATS.join(', ')}`);
    const bytes = await this.#read();
    const { offset, strides = rowMajor(this.shape) } = this.#layout;
    const count = size(this.shape);
    const held = Math.floor(bytes.byteLength / DTYPE_BYTES[this.dtype]);
    const last = this.shape.reduce((at, side, i) => at + (side - 1) * (strides[i] ?? 0), offset);
    // What torch's `expand` makes: a stride of 0 repeats the values of the other sides.
    const distinct = size(this.shape.filter((_, i) => strides[i] !== 0));
    if (count > 0 && (last >= held || distinct > held))
      throw new WeightsError(`has ${counted(held, 'value')} for its shape [${this.shape.join(', ')}]`);
    // Beyond the bytes of the file no claim of it is allocated.
    if (count > held && count > MOST_REPEATED)
      throw new WeightsError(
        `repeats ${counted(distinct, 'value')} for its shape [${this.shape.join(', ')}]: expected at most ${MOST_REPEATED} values so; ` +
          'save its tensor.contiguous()',
      );
    if (count === 0) return new Float32Array(0);
    const values = toFloat32(this.dtype, bytes.subarray(offset * DTYPE_BYTES[this.dtype], (last + 1) * DTYPE_BYTES[this.dtype]));
    return isRowMajor(this.shape, strides) ? values : gather(values, this.shape, strides);
  }
}

/** Whether a name is that of a type which is known here. */
export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, i) => size(shape.slice(i + 1)));
}

/** What a Fortran array has. */
export function columnMajor(shape: readonly number[]): number[] {
  return shape.map((_, i) => size(shape.slice(0, i)));
}

/** Strides along sides of one value do not matter. */
function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  const expected = rowMajor(shape);
  return shape.every((side, i) => side === 1 || strides[i] === expected[i]);
}

function gather(values: Float32Array, shape: readonly number[], strides: readonly number[]): Float32Array {
  const gathered = new Float32Array(size(shape));
  const index = shape.map(() => 0);
  for (let to = 0, from = 0; to < gathered.length; to++) {
    gathered[to] = values[from] as number;
    for (let side = shape.length - 1; side >= 0; side--) {
      const [next, extent, stride] = [(index[side] ?? 0) + 1, shape[side] ?? 1, strides[side] ?? 0];
      index[side] = next < extent ? next : 0;
      from += next < extent ? stride : -(extent - 1) * stride;
      if (next < extent) break;
    }
  }
  return gathered;
}
