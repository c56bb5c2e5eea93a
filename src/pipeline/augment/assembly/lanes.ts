/** Small vector pieces shared by the kernels. */

/** RGB bytes of 16 pixels (three vectors) to one channel: 0 red, 1 green, 2 blue. */
@inline
export function red(a: v128, b: v128, c: v128): v128 {
  const ab = i8x16.shuffle(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  return i8x16.shuffle(ab, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
}

@inline
export function green(a: v128, b: v128, c: v128): v128 {
  const ab = i8x16.shuffle(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
  return i8x16.shuffle(ab, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
}

@inline
export function blue(a: v128, b: v128, c: v128): v128 {
  const ab = i8x16.shuffle(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  return i8x16.shuffle(ab, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
}

/** Writes 16 pixels as 48 RGB bytes. */
@inline
export function storeRgb(at: usize, r: v128, g: v128, b: v128): void {
  const first = i8x16.shuffle(r, g, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
  v128.store(at, i8x16.shuffle(first, b, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15));
  const second = i8x16.shuffle(r, g, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
  v128.store(at, i8x16.shuffle(second, b, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15), 16);
  const third = i8x16.shuffle(r, g, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
  v128.store(at, i8x16.shuffle(third, b, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31), 32);
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
const BLEND_BIAS = 1 << (BLEND_BITS - 7);

/**
 * Pillow's `Image.blend`, truncated and clipped: 16 bytes of base + factor * (image - base).
 *
 * @param pair in every 32-bit lane, factor (low half) and 1 - factor (high half), BLEND_BITS fractional bits
 */
@inline
export function blend(base: v128, image: v128, pair: v128): v128 {
  const bias = i32x4.splat(BLEND_BIAS);
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
