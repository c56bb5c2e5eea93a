/**
 * Dequantisation and inverse DCT to fewer samples than a block has coefficients: 4x4 or 2x2, each the mean of the samples it stands for
 * (libjpeg's jidctred.c: the eight-point transform with outputs added in pairs before the rotations are multiplied out, so that frequencies
 * that cancel need no look). Bit for bit what libjpeg gives for coefficients that encoders write.
 */
import { high16, low16, rotate } from './idct';

const CONSTANT_BITS = 13;
const PASS_BITS = 2;

/** Sums of cosines, 2^13, as pairs for `i32x4.dot_i16x8_s`: of rows or columns 2 and 6, 7 and 5, 3 and 1. */
const FACTORS = memory.data<i16>([
  15137, -6270, 15137, -6270, 15137, -6270, 15137, -6270,
  -4176, -4926, -4176, -4926, -4176, -4926, -4176, -4926,
  7373, 20995, 7373, 20995, 7373, 20995, 7373, 20995,
  -1730, 11893, -1730, 11893, -1730, 11893, -1730, 11893,
  -17799, 8697, -17799, 8697, -17799, 8697, -17799, 8697,
  -5906, 6967, -5906, 6967, -5906, 6967, -5906, 6967,
  -10426, 29692, -10426, 29692, -10426, 29692, -10426, 29692,
]);
const EVEN = FACTORS;
const OUTER_75 = FACTORS + 16;
const OUTER_31 = FACTORS + 32;
const INNER_75 = FACTORS + 48;
const INNER_31 = FACTORS + 64;
const HALF_75 = FACTORS + 80;
const HALF_31 = FACTORS + 96;

@inline
function dequantised(block: usize, quantisation: usize, row: usize): v128 {
  return i16x8.mul(v128.load(block + 16 * row), v128.load(quantisation + 16 * row));
}

@inline
function rounded(value: v128, shift: i32): v128 {
  return i32x4.shr_s(i32x4.add(value, i32x4.splat(1 << (shift - 1))), shift);
}

// What the passes over 4x4 have in common: the four outputs of four transforms side by side, of the vectors of their inputs in pairs.
@inline
function outer(pair75: v128, pair31: v128): v128 {
  return i32x4.add(rotate(pair75, OUTER_75), rotate(pair31, OUTER_31));
}

@inline
function inner(pair75: v128, pair31: v128): v128 {
  return i32x4.add(rotate(pair75, INNER_75), rotate(pair31, INNER_31));
}

/** @param block 64 x i16 in natural order, of which row and column 4 do not count */
export function inverseDct4(block: usize, quantisation: usize, target: usize, stride: usize): void {
  const shift = CONSTANT_BITS + 1 - PASS_BITS;
  const a = dequantised(block, quantisation, 0);
  const b = dequantised(block, quantisation, 1);
  const c = dequantised(block, quantisation, 2);
  const d = dequantised(block, quantisation, 3);
  const f = dequantised(block, quantisation, 5);
  const g = dequantised(block, quantisation, 6);
  const h = dequantised(block, quantisation, 7);

  const dcLow = i32x4.shl(i32x4.extend_low_i16x8_s(a), CONSTANT_BITS + 1);
  const dcHigh = i32x4.shl(i32x4.extend_high_i16x8_s(a), CONSTANT_BITS + 1);
  const evenLow = rotate(low16(c, g), EVEN);
  const evenHigh = rotate(high16(c, g), EVEN);
  const low75 = low16(h, f);
  const high75 = high16(h, f);
  const low31 = low16(d, b);
  const high31 = high16(d, b);
  const sumLow = i32x4.add(dcLow, evenLow);
  const sumHigh = i32x4.add(dcHigh, evenHigh);
  const differenceLow = i32x4.sub(dcLow, evenLow);
  const differenceHigh = i32x4.sub(dcHigh, evenHigh);
  const outerLow = outer(low75, low31);
  const outerHigh = outer(high75, high31);
  const innerLow = inner(low75, low31);
  const innerHigh = inner(high75, high31);
  const row0 = paired(i32x4.add(sumLow, outerLow), i32x4.add(sumHigh, outerHigh), shift);
  const row1 = paired(i32x4.add(differenceLow, innerLow), i32x4.add(differenceHigh, innerHigh), shift);
  const row2 = paired(i32x4.sub(differenceLow, innerLow), i32x4.sub(differenceHigh, innerHigh), shift);
  const row3 = paired(i32x4.sub(sumLow, outerLow), i32x4.sub(sumHigh, outerHigh), shift);
  secondPass4(row0, row1, row2, row3, target, stride);
}

/** Eight coefficients of a row, in the order of the pairs: 2 6, 7 5, 3 1, 4 0. */
@inline
function paired(low: v128, high: v128, shift: i32): v128 {
  const row = i16x8.narrow_i32x4_s(rounded(low, shift), rounded(high, shift));
  return i16x8.shuffle(row, row, 2, 6, 7, 5, 3, 1, 4, 0);
}

@inline
function secondPass4(row0: v128, row1: v128, row2: v128, row3: v128, target: usize, stride: usize): void {
  const shift = CONSTANT_BITS + 1 + PASS_BITS + 3;
  const upper = i32x4.shuffle(row0, row1, 0, 4, 1, 5);
  const lower = i32x4.shuffle(row2, row3, 0, 4, 1, 5);
  const upperEnd = i32x4.shuffle(row0, row1, 2, 6, 3, 7);
  const lowerEnd = i32x4.shuffle(row2, row3, 2, 6, 3, 7);
  const pair26 = i64x2.shuffle(upper, lower, 0, 2);
  const pair75 = i64x2.shuffle(upper, lower, 1, 3);
  const pair31 = i64x2.shuffle(upperEnd, lowerEnd, 0, 2);
  const pair40 = i64x2.shuffle(upperEnd, lowerEnd, 1, 3);

  const dc = i32x4.shl(i32x4.shr_s(pair40, 16), CONSTANT_BITS + 1);
  const even = rotate(pair26, EVEN);
  const sum = i32x4.add(dc, even);
  const difference = i32x4.sub(dc, even);
  const outerPart = outer(pair75, pair31);
  const innerPart = inner(pair75, pair31);
  // A vector for each column: clipped to bytes, transposed and written as rows.
  const columns01 = i16x8.narrow_i32x4_s(rounded(i32x4.add(sum, outerPart), shift), rounded(i32x4.add(difference, innerPart), shift));
  const columns23 = i16x8.narrow_i32x4_s(rounded(i32x4.sub(difference, innerPart), shift), rounded(i32x4.sub(sum, outerPart), shift));
  const bytes = i8x16.narrow_i16x8_s(columns01, columns23);
  const samples = v128.xor(
    i8x16.shuffle(bytes, bytes, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    i8x16.splat(-128),
  );
  v128.store32_lane(target, samples, 0);
  v128.store32_lane(target + stride, samples, 1);
  v128.store32_lane(target + 2 * stride, samples, 2);
  v128.store32_lane(target + 3 * stride, samples, 3);
}

/** @param block 64 x i16 in natural order, of which rows and columns 2, 4 and 6 do not count */
export function inverseDct2(block: usize, quantisation: usize, target: usize, stride: usize): void {
  const shift = CONSTANT_BITS + 2 - PASS_BITS;
  const a = dequantised(block, quantisation, 0);
  const b = dequantised(block, quantisation, 1);
  const d = dequantised(block, quantisation, 3);
  const f = dequantised(block, quantisation, 5);
  const h = dequantised(block, quantisation, 7);
  const dcLow = i32x4.shl(i32x4.extend_low_i16x8_s(a), CONSTANT_BITS + 2);
  const dcHigh = i32x4.shl(i32x4.extend_high_i16x8_s(a), CONSTANT_BITS + 2);
  const oddLow = i32x4.add(rotate(low16(h, f), HALF_75), rotate(low16(d, b), HALF_31));
  const oddHigh = i32x4.add(rotate(high16(h, f), HALF_75), rotate(high16(d, b), HALF_31));
  const row0 = i16x8.narrow_i32x4_s(rounded(i32x4.add(dcLow, oddLow), shift), rounded(i32x4.add(dcHigh, oddHigh), shift));
  const row1 = i16x8.narrow_i32x4_s(rounded(i32x4.sub(dcLow, oddLow), shift), rounded(i32x4.sub(dcHigh, oddHigh), shift));
  secondPass2(row0, row1, target, stride);
}

@inline
function secondPass2(row0: v128, row1: v128, target: usize, stride: usize): void {
  const shift = CONSTANT_BITS + 2 + PASS_BITS + 3;
  // Each row twice: once for the left sample, once for the right one.
  const pair75 = i16x8.shuffle(row0, row1, 7, 5, 7, 5, 15, 13, 15, 13);
  const pair31 = i16x8.shuffle(row0, row1, 3, 1, 3, 1, 11, 9, 11, 9);
  const pair00 = i16x8.shuffle(row0, row1, 0, 0, 0, 0, 8, 8, 8, 8);
  const dc = i32x4.shl(i32x4.shr_s(pair00, 16), CONSTANT_BITS + 2);
  const odd = i32x4.add(rotate(pair75, HALF_75), rotate(pair31, HALF_31));
  const right = i32x4(0, -1, 0, -1);
  const mirrored = i32x4.sub(v128.xor(odd, right), right);
  const words = i16x8.narrow_i32x4_s(rounded(i32x4.add(dc, mirrored), shift), right);
  const samples = v128.xor(i8x16.narrow_i16x8_s(words, words), i8x16.splat(-128));
  v128.store16_lane(target, samples, 0);
  v128.store16_lane(target + stride, samples, 1);
}
