/**
 * Small vector pieces shared by the kernels.
 *
 * Most vector constants inside loops are loaded from memory, in every kernel: V8 builds a literal from two 64-bit words
 * in each iteration, four instructions against one. A literal is the better choice where an iteration uses it several
 * times. Bytes are permuted by swizzles, not by shuffles of two vectors, unless V8 knows the pattern (interleaving,
 * splatting, rotating).
 */

/** Every third byte, from the first, second and third on. */
export const EVERY_THIRD = memory.data<i8>([
  -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1,
  0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0,
  0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1, 0,
]);

/** Three vectors in one: bytes 0, 3, 6 .. of `a`, 1, 4, 7 .. of `b`, 2, 5, 8 .. of `c`. The masks are EVERY_THIRD's. */
@inline
export function mingle(a: v128, b: v128, c: v128, first: v128, second: v128, third: v128): v128 {
  return v128.or(v128.or(v128.and(a, first), v128.and(b, second)), v128.and(c, third));
}

/** Byte i comes from i + 1, the last from the first. */
@inline
export function rotateLeft(x: v128): v128 {
  return i8x16.shuffle(x, x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
}

@inline
export function rotateLeftTwice(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
}

@inline
export function rotateRight(x: v128): v128 {
  return i8x16.shuffle(x, x, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
}

@inline
export function rotateRightTwice(x: v128): v128 {
  return i8x16.shuffle(x, x, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
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
