/**
 * Dequantisation and inverse DCT to eight rows of samples: libjpeg's accurate integer transform (Loeffler, Ligtenberg and Moschytz; 13
 * bits of fraction in the constants, 2 more bits kept between the passes), bit for bit as libjpeg-turbo's vector code computes it. That
 * goes for coefficients that no encoder writes too: what does not fit 16 bits wraps or saturates where it does there.
 */

import { zipHigh, zipLow } from '../../augment/assembly/lanes';

const CONSTANT_BITS = 13;
const PASS_BITS = 2;
const FIRST_SHIFT = CONSTANT_BITS - PASS_BITS;
const SECOND_SHIFT = CONSTANT_BITS + PASS_BITS + 3;

/**
 * Rotations as pairs of factors for `i32x4.dot_i16x8_s`, named for the products of jidctint.c. In memory: see `lanes.ts` of
 * the augmentation.
 */
const FACTORS = memory.data<i16>([
  10703, 4433, 10703, 4433, 10703, 4433, 10703, 4433,
  4433, -10704, 4433, -10704, 4433, -10704, 4433, -10704,
  -6436, 9633, -6436, 9633, -6436, 9633, -6436, 9633,
  9633, 6437, 9633, 6437, 9633, 6437, 9633, 6437,
  -4927, -7373, -4927, -7373, -4927, -7373, -4927, -7373,
  -7373, 4926, -7373, 4926, -7373, 4926, -7373, 4926,
  -4176, -20995, -4176, -20995, -4176, -20995, -4176, -20995,
  -20995, 4177, -20995, 4177, -20995, 4177, -20995, 4177,
]);
const EVEN_3 = FACTORS;
const EVEN_2 = FACTORS + 16;
const Z_3 = FACTORS + 32;
const Z_4 = FACTORS + 48;
const ODD_0 = FACTORS + 64;
const ODD_3 = FACTORS + 80;
const ODD_1 = FACTORS + 96;
const ODD_2 = FACTORS + 112;

/** Results of a pass, eight vectors. */
const WORK = memory.data(128, 16);

const HALVES = memory.data<i32>([1 << (FIRST_SHIFT - 1), 1 << (SECOND_SHIFT - 1)]);

@inline
export function low16(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
export function high16(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

@inline
function low32(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 0, 4, 1, 5);
}

@inline
function high32(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 2, 6, 3, 7);
}

@inline
function low64(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 0, 2);
}

@inline
function high64(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 1, 3);
}

@inline
export function rotate(zipped: v128, factors: usize): v128 {
  return i32x4.dot_i16x8_s(zipped, v128.load(factors));
}

/** Writes the sum and the difference of the even and the odd part to two places of WORK. */
@inline
function mix(evenLow: v128, evenHigh: v128, oddLow: v128, oddHigh: v128, shift: i32, sum: usize, difference: usize): void {
  const half = v128.load32_splat(HALVES + (shift == FIRST_SHIFT ? 0 : 4));
  const low = i32x4.add(evenLow, half);
  const high = i32x4.add(evenHigh, half);
  v128.store(
    WORK + 16 * sum,
    i16x8.narrow_i32x4_s(i32x4.shr_s(i32x4.add(low, oddLow), shift), i32x4.shr_s(i32x4.add(high, oddHigh), shift)),
  );
  v128.store(
    WORK + 16 * difference,
    i16x8.narrow_i32x4_s(i32x4.shr_s(i32x4.sub(low, oddLow), shift), i32x4.shr_s(i32x4.sub(high, oddHigh), shift)),
  );
}

/** Eight one-dimensional transforms side by side, of vectors to WORK. */
@inline
function pass(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128, shift: i32): void {
  const evenLow = low16(c, g);
  const evenHigh = high16(c, g);
  const two0 = rotate(evenLow, EVEN_2);
  const two1 = rotate(evenHigh, EVEN_2);
  const three0 = rotate(evenLow, EVEN_3);
  const three1 = rotate(evenHigh, EVEN_3);
  const sum = i16x8.add(a, e);
  const difference = i16x8.sub(a, e);
  const zero0 = i32x4.shl(i32x4.extend_low_i16x8_s(sum), CONSTANT_BITS);
  const zero1 = i32x4.shl(i32x4.extend_high_i16x8_s(sum), CONSTANT_BITS);
  const one0 = i32x4.shl(i32x4.extend_low_i16x8_s(difference), CONSTANT_BITS);
  const one1 = i32x4.shl(i32x4.extend_high_i16x8_s(difference), CONSTANT_BITS);

  const z3 = i16x8.add(h, d);
  const z4 = i16x8.add(f, b);
  const zLow = low16(z3, z4);
  const zHigh = high16(z3, z4);
  const z3Low = rotate(zLow, Z_3);
  const z3High = rotate(zHigh, Z_3);
  const z4Low = rotate(zLow, Z_4);
  const z4High = rotate(zHigh, Z_4);
  const outerLow = low16(h, b);
  const outerHigh = high16(h, b);
  const innerLow = low16(f, d);
  const innerHigh = high16(f, d);

  mix(
    i32x4.add(zero0, three0), i32x4.add(zero1, three1),
    i32x4.add(rotate(outerLow, ODD_3), z4Low), i32x4.add(rotate(outerHigh, ODD_3), z4High),
    shift, 0, 7,
  );
  mix(
    i32x4.add(one0, two0), i32x4.add(one1, two1),
    i32x4.add(rotate(innerLow, ODD_2), z3Low), i32x4.add(rotate(innerHigh, ODD_2), z3High),
    shift, 1, 6,
  );
  mix(
    i32x4.sub(one0, two0), i32x4.sub(one1, two1),
    i32x4.add(rotate(innerLow, ODD_1), z4Low), i32x4.add(rotate(innerHigh, ODD_1), z4High),
    shift, 2, 5,
  );
  mix(
    i32x4.sub(zero0, three0), i32x4.sub(zero1, three1),
    i32x4.add(rotate(outerLow, ODD_0), z3Low), i32x4.add(rotate(outerHigh, ODD_0), z3High),
    shift, 3, 4,
  );
}

@inline
function dequantised(block: usize, quantisation: usize, row: usize): v128 {
  return i16x8.mul(v128.load(block + 16 * row), v128.load(quantisation + 16 * row));
}

/** @param block 64 x i16 in natural order */
export function inverseDct(block: usize, quantisation: usize, target: usize, stride: usize): void {
  const a = dequantised(block, quantisation, 0);
  const b = v128.load(block, 16);
  const c = v128.load(block, 32);
  const d = v128.load(block, 48);
  const e = v128.load(block, 64);
  const f = v128.load(block, 80);
  const g = v128.load(block, 96);
  const h = v128.load(block, 112);
  if (v128.any_true(v128.or(v128.or(v128.or(b, c), v128.or(d, e)), v128.or(v128.or(f, g), h)))) {
    pass(
      a,
      i16x8.mul(b, v128.load(quantisation, 16)),
      i16x8.mul(c, v128.load(quantisation, 32)),
      i16x8.mul(d, v128.load(quantisation, 48)),
      i16x8.mul(e, v128.load(quantisation, 64)),
      i16x8.mul(f, v128.load(quantisation, 80)),
      i16x8.mul(g, v128.load(quantisation, 96)),
      i16x8.mul(h, v128.load(quantisation, 112)),
      FIRST_SHIFT,
    );
    secondPass();
  } else {
    // A column of its first coefficient alone is constant; this wraps where the sums above would saturate.
    const flat = i16x8.shl(a, PASS_BITS);
    pass(
      i16x8.shuffle(flat, flat, 0, 0, 0, 0, 0, 0, 0, 0),
      i16x8.shuffle(flat, flat, 1, 1, 1, 1, 1, 1, 1, 1),
      i16x8.shuffle(flat, flat, 2, 2, 2, 2, 2, 2, 2, 2),
      i16x8.shuffle(flat, flat, 3, 3, 3, 3, 3, 3, 3, 3),
      i16x8.shuffle(flat, flat, 4, 4, 4, 4, 4, 4, 4, 4),
      i16x8.shuffle(flat, flat, 5, 5, 5, 5, 5, 5, 5, 5),
      i16x8.shuffle(flat, flat, 6, 6, 6, 6, 6, 6, 6, 6),
      i16x8.shuffle(flat, flat, 7, 7, 7, 7, 7, 7, 7, 7),
      SECOND_SHIFT,
    );
  }
  storeSamples(target, stride);
}

/** Transposes WORK and transforms it again. */
@inline
function secondPass(): void {
  const a = v128.load(WORK);
  const b = v128.load(WORK, 16);
  const c = v128.load(WORK, 32);
  const d = v128.load(WORK, 48);
  const e = v128.load(WORK, 64);
  const f = v128.load(WORK, 80);
  const g = v128.load(WORK, 96);
  const h = v128.load(WORK, 112);
  const ab = low16(a, b);
  const cd = low16(c, d);
  const ef = low16(e, f);
  const gh = low16(g, h);
  const ab4 = high16(a, b);
  const cd4 = high16(c, d);
  const ef4 = high16(e, f);
  const gh4 = high16(g, h);
  const upper0 = low32(ab, cd);
  const lower0 = low32(ef, gh);
  const upper2 = high32(ab, cd);
  const lower2 = high32(ef, gh);
  const upper4 = low32(ab4, cd4);
  const lower4 = low32(ef4, gh4);
  const upper6 = high32(ab4, cd4);
  const lower6 = high32(ef4, gh4);
  pass(
    low64(upper0, lower0), high64(upper0, lower0), low64(upper2, lower2), high64(upper2, lower2),
    low64(upper4, lower4), high64(upper4, lower4), low64(upper6, lower6), high64(upper6, lower6),
    SECOND_SHIFT,
  );
}

/** WORK has a vector for each column: clipped to bytes, transposed and written as rows. */
@inline
function storeSamples(target: usize, stride: usize): void {
  const ae = i8x16.narrow_i16x8_s(v128.load(WORK), v128.load(WORK, 64));
  const bf = i8x16.narrow_i16x8_s(v128.load(WORK, 16), v128.load(WORK, 80));
  const cg = i8x16.narrow_i16x8_s(v128.load(WORK, 32), v128.load(WORK, 96));
  const dh = i8x16.narrow_i16x8_s(v128.load(WORK, 48), v128.load(WORK, 112));
  const ab = zipLow(ae, bf);
  const ef = zipHigh(ae, bf);
  const cd = zipLow(cg, dh);
  const gh = zipHigh(cg, dh);
  const leftUpper = low16(ab, cd);
  const leftLower = high16(ab, cd);
  const rightUpper = low16(ef, gh);
  const rightLower = high16(ef, gh);
  storeTwo(target, stride, low32(leftUpper, rightUpper));
  storeTwo(target + 2 * stride, stride, high32(leftUpper, rightUpper));
  storeTwo(target + 4 * stride, stride, low32(leftLower, rightLower));
  storeTwo(target + 6 * stride, stride, high32(leftLower, rightLower));
}

/** Two rows of samples about 0. */
@inline
function storeTwo(target: usize, stride: usize, rows: v128): void {
  const samples = v128.xor(rows, i8x16.splat(-128));
  v128.store64_lane(target, samples, 0);
  v128.store64_lane(target + stride, samples, 1);
}

/** Samples of a block that has no other coefficient, of `side` x `side`: 8, 4 or 2. */
export function flatBlock(dc: i32, quantisation: usize, target: usize, stride: usize, side: usize): void {
  const level = <i32>(<i16>((dc * <i32>load<u16>(quantisation)) << PASS_BITS));
  const half = 1 << (PASS_BITS + 2);
  const sample = min(max((level + half) >> (PASS_BITS + 3), -128), 127) + 128;
  const row = i8x16.splat(<i8>sample);
  const end = target + side * stride;
  if (side == 8) for (; target < end; target += stride) v128.store64_lane(target, row, 0);
  else if (side == 4) for (; target < end; target += stride) v128.store32_lane(target, row, 0);
  else for (; target < end; target += stride) v128.store16_lane(target, row, 0);
}
