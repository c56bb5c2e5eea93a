/**
 * Small vector pieces shared by the kernels.
 *
 * Most vector constants inside loops are loaded from memory, in every kernel: V8 builds a literal from two 64-bit words
 * in each iteration, four instructions against one. A literal is the better choice where an iteration uses it several
 * times. Bytes are permuted by swizzles, not by shuffles of two vectors, unless V8 knows the pattern (interleaving,
 * splatting).
 */

// Byte indices that take RGB apart and put it together, three vectors each; -1 gives 0.
const TO_RED = memory.data<i8>([
  0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13,
]);
const TO_GREEN = memory.data<i8>([
  1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14,
]);
const TO_BLUE = memory.data<i8>([
  2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1,
  -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15,
]);
const TO_FIRST = memory.data<i8>([
  0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5,
  -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1,
  -1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1,
]);
const TO_SECOND = memory.data<i8>([
  -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1,
  5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10,
  -1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1,
]);
const TO_THIRD = memory.data<i8>([
  -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1,
  -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1,
  10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15,
]);

/** Permutes the bytes of three vectors by three lists of indices and puts them together. */
@inline
function gather(a: v128, b: v128, c: v128, indices: usize): v128 {
  return v128.or(
    v128.or(i8x16.swizzle(a, v128.load(indices)), i8x16.swizzle(b, v128.load(indices, 16))),
    i8x16.swizzle(c, v128.load(indices, 32)),
  );
}

/** One channel of 16 pixels from their 48 RGB bytes. */
@inline
export function red(a: v128, b: v128, c: v128): v128 {
  return gather(a, b, c, TO_RED);
}

@inline
export function green(a: v128, b: v128, c: v128): v128 {
  return gather(a, b, c, TO_GREEN);
}

@inline
export function blue(a: v128, b: v128, c: v128): v128 {
  return gather(a, b, c, TO_BLUE);
}

/** Writes 16 pixels as 48 RGB bytes. */
@inline
export function storeRgb(at: usize, r: v128, g: v128, b: v128): void {
  v128.store(at, gather(r, g, b, TO_FIRST));
  v128.store(at, gather(r, g, b, TO_SECOND), 16);
  v128.store(at, gather(r, g, b, TO_THIRD), 32);
}

/** a0 b0 a1 b1 .. a7 b7. */
@inline
export function zipLow(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

/** a8 b8 a9 b9 .. a15 b15. */
@inline
export function zipHigh(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Fractional bits of a blend weight: factors up to 3 fit the 16 bits of `i32x4.dot_i16x8_s`. */
export const BLEND_BITS = 13;

/** Pulls products that are whole numbers in exact arithmetic back over the truncation: 1/128 level. */
export const BLEND_BIAS = memory.data<i32>([1 << (BLEND_BITS - 7), 1 << (BLEND_BITS - 7), 1 << (BLEND_BITS - 7), 1 << (BLEND_BITS - 7)]);

/**
 * Pillow's `Image.blend`, truncated and clipped: 16 bytes of base + factor * (image - base).
 *
 * @param pair in every 32-bit lane, factor (low half) and 1 - factor (high half), BLEND_BITS fractional bits
 */
@inline
export function blend(base: v128, image: v128, pair: v128): v128 {
  const bias = v128.load(BLEND_BIAS);
  const low = zipLow(image, base);
  const high = zipHigh(image, base);
  const a = i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(low), pair), bias);
  const b = i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(low), pair), bias);
  const c = i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(high), pair), bias);
  const d = i32x4.add(i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(high), pair), bias);
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(i32x4.shr_s(a, BLEND_BITS), i32x4.shr_s(b, BLEND_BITS)),
    i16x8.narrow_i32x4_s(i32x4.shr_s(c, BLEND_BITS), i32x4.shr_s(d, BLEND_BITS)),
  );
}
