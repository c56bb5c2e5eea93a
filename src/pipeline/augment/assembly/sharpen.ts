/** Pillow's ImageEnhance.Sharpness: a blend with the image after ImageFilter.SMOOTH. */
import { BLEND_BITS } from './lanes';

/** 2^18 / 13, the kernel's sum; the product is rounded and shifted back by 18. */
const THIRTEENTH = 20165;

@inline
function add3(at: usize): v128 {
  return i16x8.add(i16x8.add(v128.load8x8_u(at - 3), v128.load8x8_u(at)), v128.load8x8_u(at, 3));
}

@inline
function mix(smooth: v128, image: v128, pair: v128): v128 {
  const bias = i32x4.splat(1 << (BLEND_BITS - 7));
  const low = i16x8.shuffle(image, smooth, 0, 8, 1, 9, 2, 10, 3, 11);
  const high = i16x8.shuffle(image, smooth, 4, 12, 5, 13, 6, 14, 7, 15);
  return i16x8.narrow_i32x4_s(
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(low, pair), bias), BLEND_BITS),
    i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(high, pair), bias), BLEND_BITS),
  );
}

/**
 * Kernel (1 1 1, 1 5 1, 1 1 1) / 13; the outermost pixels stay as they are.
 *
 * @param pair weights of the image (low half) and of the smooth image (high half), BLEND_BITS fractional bits
 */
export function sharpen(source: usize, target: usize, width: i32, height: i32, pair: i32): void {
  const stride = <usize>width * 3;
  const weights = i32x4.splat(pair);
  const rounding = i16x8.splat(8);
  const thirteenth = i32x4.splat(THIRTEENTH | (16384 << 16));
  memory.copy(target, source, stride * <usize>height);
  if (width < 3) return;
  for (let y: usize = 1; y + 1 < <usize>height; y++) {
    const row = source + y * stride;
    const to = target + y * stride;
    for (let i: usize = 3; i < stride - 3; i += 8) {
      const at = row + i;
      const image = v128.load8x8_u(at);
      const sum = i16x8.add(i16x8.add(add3(at - stride), add3(at + stride)), i16x8.add(add3(at), i16x8.shl(image, 2)));
      const low = i16x8.shuffle(sum, rounding, 0, 8, 1, 9, 2, 10, 3, 11);
      const high = i16x8.shuffle(sum, rounding, 4, 12, 5, 13, 6, 14, 7, 15);
      const smooth = i16x8.narrow_i32x4_s(
        i32x4.shr_s(i32x4.dot_i16x8_s(low, thirteenth), 18),
        i32x4.shr_s(i32x4.dot_i16x8_s(high, thirteenth), 18),
      );
      const mixed = mix(smooth, image, weights);
      v128.store64_lane(to + i, i8x16.narrow_i16x8_u(mixed, mixed), 0);
    }
    // The last vector may have run over the right edge and into the next row.
    memory.copy(to + stride - 3, row + stride - 3, 12);
  }
}
