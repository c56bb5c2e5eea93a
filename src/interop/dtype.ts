/** Types of numbers in files of weights, by safetensors' names, and how they become float32. */

/** Bytes of one. */
export const DTYPE_BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 } as const;
export type Dtype = keyof typeof DTYPE_BYTES;

/** Those that weights come in. */
export const FLOATS = ['F64', 'F32', 'F16', 'BF16'] as const satisfies readonly Dtype[];
type Float = (typeof FLOATS)[number];

export function isFloat(dtype: string): dtype is Float {
  return (FLOATS as readonly string[]).includes(dtype);
}

/** Values of little-endian bytes, which need not be aligned. */
export function toFloat32(dtype: Float, bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = byteOffsetFits(bytes, DTYPE_BYTES[dtype]) ? bytes : Uint8Array.from(bytes);
  const count = byteLength / DTYPE_BYTES[dtype];
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, count);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, count));
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(buffer, byteOffset, count), (half) => half << 16);
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count), halfToNumber);
  }
}

function byteOffsetFits({ byteOffset }: Uint8Array, size: number): boolean {
  return byteOffset % size === 0;
}

/** IEEE 754 binary16: a sign, 5 bits of exponent with bias 15, 10 of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
