/** NumPy's arrays as they are pickled, by NumPy 1 and 2. */
import { columnMajor, ForeignTensor, type Layout } from './foreign-tensor.js';
import { Built } from './pickle-reader.js';
import { WeightsError } from './weights-error.js';

/** `numpy.dtype('f4')`; its state has the byte order. */
export class NumpyDtype extends Built {
  readonly name: string;

  constructor(name: unknown) {
    super();
    this.name = String(name);
  }

  build(state: unknown): void {
    // (version, byte order, ...): < little, | of single bytes, = of the machine that wrote it.
    const order = Array.isArray(state) ? (state as readonly unknown[])[1] : undefined;
    if (order === '>') throw new WeightsError('holds arrays of big-endian numbers: expected little-endian ones');
  }
}

/** By kind and bytes. */
const DTYPES: Readonly<Record<string, string>> = {
  f8: 'F64',
  f4: 'F32',
  f2: 'F16',
  i8: 'I64',
  i4: 'I32',
  i2: 'I16',
  i1: 'I8',
  u1: 'U8',
  b1: 'BOOL',
};

function tensorOf(dtype: unknown, shape: unknown, bytes: unknown, fortran: boolean): ForeignTensor {
  const sides = Array.isArray(shape) ? (shape as readonly unknown[]) : undefined;
  // Python 2 pickled bytes as text.
  const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  if (!(dtype instanceof NumpyDtype) || !sides?.every((side) => Number.isSafeInteger(side)) || !(data instanceof Uint8Array))
    throw new WeightsError('holds an array that is none of numbers');
  const layout: Layout = { offset: 0, ...(fortran && { strides: columnMajor(sides as readonly number[]) }) };
  return new ForeignTensor(DTYPES[dtype.name] ?? dtype.name, sides as readonly number[], async () => data, layout);
}

/** An array that its state makes: (version, shape, dtype, Fortran order, bytes). */
export class NumpyArray extends Built {
  tensor: ForeignTensor | undefined;

  build(state: unknown): void {
    const [, shape, dtype, fortran, bytes] = Array.isArray(state) ? (state as readonly unknown[]) : [];
    this.tensor = tensorOf(dtype, shape, bytes, fortran === true);
  }

  /** What protocol 5 has in place of a state: `_frombuffer(buffer, dtype, shape, order)`. */
  static fromBuffer([buffer, dtype, shape, order]: readonly unknown[]): NumpyArray {
    const array = new NumpyArray();
    array.tensor = tensorOf(dtype, shape, buffer, order === 'F');
    return array;
  }
}
