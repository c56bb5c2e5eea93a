/** Rows of pixels to RGB, with the roundings of libjpeg's jdcolor.c. */
import { zipHigh, zipLow } from '../../augment/assembly/lanes';
import { component, components } from './frame';
import { pixelRow } from './upsample';

/** Round(x * constant / 2^16) of jdcolor.c is, for every x of a byte, `q15mulr` with these: what red and blue have beyond once the difference. */
const RED: i32 = 13173;
const BLUE: i32 = 25297;
/** -0.34414, and 1 - 0.71414: that does not fit 16 bits without the 1. */
const GREEN: i32 = (-22554 & 0xffff) | (18734 << 16);
const GREEN_BITS = 16;

/** r g b . r g b . -> r g b r g b */
const PACK = memory.data<i8>([0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1]);
const FACTORS = memory.data<i32>([GREEN, 1 << (GREEN_BITS - 1), RED * 0x10001, BLUE * 0x10001, 0x80808080]);

/** YCbCr or grey to interleaved RGB, 16 pixels at a time: up to 48 bytes behind the last pixel are written over. */
export function toRgb(from: i32, to: i32, left: i32, right: i32, rgb: usize, width: i32, ycc: bool): void {
  const stride = <usize>width * 3;
  const start = left & ~15;
  for (let y = from; y < to; y++, rgb += stride) {
    const first = pixelRow(component(0), y, left, right);
    const target = rgb + <usize>start * 3;
    if (components == 1) {
      grey(first, start, right, target);
      continue;
    }
    const second = pixelRow(component(1), y, left, right);
    const third = pixelRow(component(2), y, left, right);
    if (ycc) convert(first, second, third, start, right, target);
    else interleave(first, second, third, start, right, target);
  }
}

function grey(row: usize, left: i32, right: i32, target: usize): void {
  for (let x = left; x < right; x += 16, target += 48) {
    const level = v128.load(row + <usize>x);
    storePixels(target, level, level, level, v128.load(PACK));
  }
}

function interleave(red: usize, green: usize, blue: usize, left: i32, right: i32, target: usize): void {
  for (let x = left; x < right; x += 16, target += 48) {
    storePixels(target, v128.load(red + <usize>x), v128.load(green + <usize>x), v128.load(blue + <usize>x), v128.load(PACK));
  }
}

function convert(luma: usize, blueness: usize, redness: usize, left: i32, right: i32, target: usize): void {
  const centre = v128.load32_splat(FACTORS, 16);
  const greenFactors = v128.load32_splat(FACTORS);
  const half = v128.load32_splat(FACTORS, 4);
  const redFactor = v128.load32_splat(FACTORS, 8);
  const blueFactor = v128.load32_splat(FACTORS, 12);
  const pack = v128.load(PACK);
  for (let x = left; x < right; x += 16, target += 48) {
    const y = v128.load(luma + <usize>x);
    const cb = v128.xor(v128.load(blueness + <usize>x), centre);
    const cr = v128.xor(v128.load(redness + <usize>x), centre);
    const yLow = i16x8.extend_low_i8x16_u(y);
    const yHigh = i16x8.extend_high_i8x16_u(y);
    const cbLow = i16x8.extend_low_i8x16_s(cb);
    const cbHigh = i16x8.extend_high_i8x16_s(cb);
    const crLow = i16x8.extend_low_i8x16_s(cr);
    const crHigh = i16x8.extend_high_i8x16_s(cr);
    storePixels(
      target,
      i8x16.narrow_i16x8_u(outer(yLow, crLow, redFactor), outer(yHigh, crHigh, redFactor)),
      i8x16.narrow_i16x8_u(green(yLow, cbLow, crLow, greenFactors, half), green(yHigh, cbHigh, crHigh, greenFactors, half)),
      i8x16.narrow_i16x8_u(outer(yLow, cbLow, blueFactor), outer(yHigh, cbHigh, blueFactor)),
      pack,
    );
  }
}

@inline
function outer(y: v128, difference: v128, factor: v128): v128 {
  return i16x8.add(i16x8.add(y, difference), i16x8.q15mulr_sat_s(difference, factor));
}

@inline
function green(y: v128, cb: v128, cr: v128, factors: v128, half: v128): v128 {
  const low = i32x4.dot_i16x8_s(i16x8.shuffle(cb, cr, 0, 8, 1, 9, 2, 10, 3, 11), factors);
  const high = i32x4.dot_i16x8_s(i16x8.shuffle(cb, cr, 4, 12, 5, 13, 6, 14, 7, 15), factors);
  const more = i16x8.narrow_i32x4_s(i32x4.shr_s(i32x4.add(low, half), GREEN_BITS), i32x4.shr_s(i32x4.add(high, half), GREEN_BITS));
  return i16x8.sub(i16x8.add(y, more), cr);
}

/** 16 pixels as 48 bytes and four that the next pixels cover. */
@inline
function storePixels(target: usize, red: v128, green: v128, blue: v128, pack: v128): void {
  const low = zipLow(red, green);
  const high = zipHigh(red, green);
  const zero = i64x2.splat(0);
  const blueLow = zipLow(blue, zero);
  const blueHigh = zipHigh(blue, zero);
  storeFour(pack, target, i16x8.shuffle(low, blueLow, 0, 8, 1, 9, 2, 10, 3, 11));
  storeFour(pack, target + 12, i16x8.shuffle(low, blueLow, 4, 12, 5, 13, 6, 14, 7, 15));
  storeFour(pack, target + 24, i16x8.shuffle(high, blueHigh, 0, 8, 1, 9, 2, 10, 3, 11));
  storeFour(pack, target + 36, i16x8.shuffle(high, blueHigh, 4, 12, 5, 13, 6, 14, 7, 15));
}

@inline
function storeFour(pack: v128, target: usize, pixels: v128): void {
  v128.store(target, i8x16.swizzle(pixels, pack));
}
