/**
 * Crop and resize with Pillow's antialiased bilinear filter (Resample.c), in fixed point.
 *
 * One output row at a time: the source rows under it are mixed into one row of 16-bit samples with 6 fractional bits,
 * which stays in the first-level cache, and that row is resampled horizontally. Pillow goes the other way round and
 * rounds to 8 bits in between; this order touches fewer bytes when shrinking and is at most one level away.
 */
import { zipHigh, zipLow } from './lanes';

/** Fractional bits of a weight; two weights share a 32-bit word for `i32x4.dot_i16x8_s`. */
const WEIGHT_BITS = 14;
const ONE: i32 = 1 << WEIGHT_BITS;

const HALF_MIXED = memory.data<i32>([1 << 7, 1 << 7, 1 << 7, 1 << 7]);

/** Weight pairs that any window needs: the open interval of length 2 * support holds at most ceil(2 * support) samples. */
function weightPairs(scale: f64): i32 {
  return (<i32>Math.ceil(2.0 * max(scale, 1.0)) + 1) >> 1;
}

/**
 * For each output sample: where its first input sample is (i32; its ordinal from `low` times `unit`), then `pairs` pairs of
 * weights (2 x i16).
 * Windows are clamped to the input samples [low, high); `from` and `scale` place the output grid on the input.
 */
function weights(
  table: usize,
  size: i32,
  low: i32,
  high: i32,
  from: f64,
  scale: f64,
  pairs: i32,
  unit: i32,
  reversed: bool,
): void {
  const support = max(scale, 1.0);
  const stride = <usize>(4 + 4 * pairs);
  for (let i = 0; i < size; i++) {
    const entry = table + <usize>(reversed ? size - 1 - i : i) * stride;
    const centre = from + (<f64>i + 0.5) * scale - 0.5;
    // Beyond the window its last sample goes on.
    const first = min(high - 1, max(low, <i32>Math.floor(centre - support) + 1));
    const end = min(high, <i32>Math.ceil(centre + support));
    let total = 0.0;
    for (let x = first; x < end; x++) total += support - Math.abs(<f64>x - centre);
    const factor = <f64>ONE / total;
    store<i32>(entry, (first - low) * unit);
    let left = ONE;
    let heaviest: usize = entry + 4;
    for (let k = 0; k < 2 * pairs; k++) {
      const x = first + k;
      const weight = x < end ? <i32>((support - Math.abs(<f64>x - centre)) * factor + 0.5) : 0;
      const at = entry + 4 + <usize>(2 * k);
      store<i16>(at, <i16>weight);
      if (weight > <i32>load<i16>(heaviest)) heaviest = at;
      left -= weight;
    }
    // The weights must add up to one exactly, or flat areas would change.
    store<i16>(heaviest, <i16>(<i32>load<i16>(heaviest) + left));
  }
}

/** Four samples of two rows, zipped, weighed by a pair. */
@inline
function weighLow(zipped: v128, pair: v128): v128 {
  return i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(zipped), pair);
}

@inline
function weighHigh(zipped: v128, pair: v128): v128 {
  return i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(zipped), pair);
}

/** Rounds the sums of 16 samples and stores them as i16 with 6 fractional bits. */
@inline
function storeMixed(row: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(row, i16x8.narrow_i32x4_s(i32x4.shr_s(a, 8), i32x4.shr_s(b, 8)));
  v128.store(row, i16x8.narrow_i32x4_s(i32x4.shr_s(c, 8), i32x4.shr_s(d, 8)), 16);
}

/**
 * Mixes the source rows of one output row; `bytes` samples to `row`. One and two pairs are what shrinking up to twice needs;
 * spelt out, their weights stay in registers.
 */
function mixRows(source: usize, stride: usize, weights: usize, pairs: i32, bytes: i32, row: usize): void {
  if (pairs == 1) mixOne(source, stride, weights, bytes, row);
  else if (pairs == 2) mixTwo(source, stride, weights, bytes, row);
  else mixMany(source, stride, weights, pairs, bytes, row);
}

function mixOne(source: usize, stride: usize, weights: usize, bytes: i32, row: usize): void {
  const end = source + <usize>bytes;
  const half = v128.load(HALF_MIXED);
  const pair = v128.load32_splat(weights);
  for (; source < end; source += 16, row += 32) {
    const upper = v128.load(source);
    const lower = v128.load(source + stride);
    const low = zipLow(upper, lower);
    const high = zipHigh(upper, lower);
    storeMixed(
      row,
      i32x4.add(half, weighLow(low, pair)),
      i32x4.add(half, weighHigh(low, pair)),
      i32x4.add(half, weighLow(high, pair)),
      i32x4.add(half, weighHigh(high, pair)),
    );
  }
}

function mixTwo(source: usize, stride: usize, weights: usize, bytes: i32, row: usize): void {
  const end = source + <usize>bytes;
  const half = v128.load(HALF_MIXED);
  const first = v128.load32_splat(weights);
  const second = v128.load32_splat(weights, 4);
  const third = 2 * stride;
  const fourth = 3 * stride;
  for (; source < end; source += 16, row += 32) {
    const a = v128.load(source);
    const b = v128.load(source + stride);
    const c = v128.load(source + third);
    const d = v128.load(source + fourth);
    const firstLow = zipLow(a, b);
    const firstHigh = zipHigh(a, b);
    const secondLow = zipLow(c, d);
    const secondHigh = zipHigh(c, d);
    storeMixed(
      row,
      i32x4.add(i32x4.add(half, weighLow(firstLow, first)), weighLow(secondLow, second)),
      i32x4.add(i32x4.add(half, weighHigh(firstLow, first)), weighHigh(secondLow, second)),
      i32x4.add(i32x4.add(half, weighLow(firstHigh, first)), weighLow(secondHigh, second)),
      i32x4.add(i32x4.add(half, weighHigh(firstHigh, first)), weighHigh(secondHigh, second)),
    );
  }
}

function mixMany(source: usize, stride: usize, weights: usize, pairs: i32, bytes: i32, row: usize): void {
  const end = source + <usize>bytes;
  const half = v128.load(HALF_MIXED);
  for (; source < end; source += 16, row += 32) {
    let a = half;
    let b = half;
    let c = half;
    let d = half;
    let from = source;
    for (let k: usize = 0; k < <usize>pairs; k++, from += 2 * stride) {
      const pair = v128.load32_splat(weights + 4 * k);
      const upper = v128.load(from);
      const lower = v128.load(from + stride);
      const low = zipLow(upper, lower);
      const high = zipHigh(upper, lower);
      a = i32x4.add(a, weighLow(low, pair));
      b = i32x4.add(b, weighHigh(low, pair));
      c = i32x4.add(c, weighLow(high, pair));
      d = i32x4.add(d, weighHigh(high, pair));
    }
    storeMixed(row, a, b, c, d);
  }
}

/** Two pixels of the mixed row at `from`, weighed by the pair at `weight`: r, g, b in 32-bit lanes. */
@inline
function weighPixels(from: usize, weight: usize): v128 {
  // r g b r g b . . -> r r g g b b . ., as 16-bit samples
  const paired = i8x16.swizzle(v128.load(from), i8x16(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1));
  return i32x4.dot_i16x8_s(paired, v128.load32_splat(weight));
}

@inline
function sumOne(row: usize, entry: usize): v128 {
  return i32x4.add(i32x4.splat(1 << 19), weighPixels(row + <usize>load<i32>(entry), entry + 4));
}

@inline
function sumTwo(row: usize, entry: usize): v128 {
  const from = row + <usize>load<i32>(entry);
  return i32x4.add(i32x4.add(i32x4.splat(1 << 19), weighPixels(from, entry + 4)), weighPixels(from + 12, entry + 8));
}

@inline
function sumThree(row: usize, entry: usize): v128 {
  const from = row + <usize>load<i32>(entry);
  const two = i32x4.add(weighPixels(from + 12, entry + 8), weighPixels(from + 24, entry + 12));
  return i32x4.add(i32x4.add(i32x4.splat(1 << 19), weighPixels(from, entry + 4)), two);
}

function sumMany(row: usize, entry: usize, stride: usize): v128 {
  let from = row + <usize>load<i32>(entry);
  let sum = i32x4.splat(1 << 19);
  for (let weight = entry + 4; weight < entry + stride; weight += 4, from += 12) sum = i32x4.add(sum, weighPixels(from, weight));
  return sum;
}

/** Rounds four pixels and writes 12 bytes and 4 that the next pixels cover. */
@inline
function storeFour(target: usize, a: v128, b: v128, c: v128, d: v128): void {
  const bytes = i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(i32x4.shr_s(a, 20), i32x4.shr_s(b, 20)),
    i16x8.narrow_i32x4_s(i32x4.shr_s(c, 20), i32x4.shr_s(d, 20)),
  );
  // r g b . r g b . -> r g b r g b
  v128.store(target, i8x16.swizzle(bytes, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)));
}

/**
 * Resamples one mixed row to `size` pixels, four at a time; the table has entries for a whole number of fours. The usual
 * numbers of pairs are spelt out, as their loop would cost as much as its work.
 */
function resampleRow(row: usize, table: usize, pairs: i32, size: i32, target: usize): void {
  const end = table + <usize>size * <usize>(4 + 4 * pairs);
  if (pairs == 1) {
    for (let at = table; at < end; at += 32, target += 12) {
      storeFour(target, sumOne(row, at), sumOne(row, at + 8), sumOne(row, at + 16), sumOne(row, at + 24));
    }
  } else if (pairs == 2) {
    for (let at = table; at < end; at += 48, target += 12) {
      storeFour(target, sumTwo(row, at), sumTwo(row, at + 12), sumTwo(row, at + 24), sumTwo(row, at + 36));
    }
  } else if (pairs == 3) {
    for (let at = table; at < end; at += 64, target += 12) {
      storeFour(target, sumThree(row, at), sumThree(row, at + 16), sumThree(row, at + 32), sumThree(row, at + 48));
    }
  } else {
    const stride = <usize>(4 + 4 * pairs);
    for (let at = table; at < end; at += 4 * stride, target += 12) {
      const c = at + 2 * stride;
      storeFour(target, sumMany(row, at, stride), sumMany(row, at + stride, stride), sumMany(row, c, stride), sumMany(row, c + stride, stride));
    }
  }
}

/**
 * Resizes a float box of the source to size x size, as Pillow's `resize` after `crop(window)` would.
 *
 * @param source RGB bytes, `sourceWidth` pixels a row
 * @param left, top, right, bottom the window, whole pixels; no sample outside it is used
 * @param boxLeft, boxTop position of the output's corner in the source, pixels
 * @param scaleX, scaleY source pixels per output pixel
 * @param scratch room for both weight tables and one row: see `Kernels`
 */
export function cropResize(
  source: usize,
  sourceWidth: i32,
  left: i32,
  top: i32,
  right: i32,
  bottom: i32,
  boxLeft: f64,
  boxTop: f64,
  scaleX: f64,
  scaleY: f64,
  target: usize,
  size: i32,
  flip: bool,
  scratch: usize,
): void {
  const stride = <usize>sourceWidth * 3;
  const pairsX = weightPairs(scaleX);
  const pairsY = weightPairs(scaleY);
  const strideX = <usize>(4 + 4 * pairsX);
  const strideY = <usize>(4 + 4 * pairsY);
  const tableX = scratch;
  const tableY = tableX + <usize>(size + 3) * strideX;
  const row = (tableY + <usize>size * strideY + 15) & ~15;
  weights(tableX, size, left, right, boxLeft, scaleX, pairsX, 6, flip);
  for (let i = 0; i < 3; i++) memory.copy(tableX + <usize>(size + i) * strideX, tableX, strideX);
  weights(tableY, size, top, bottom, boxTop, scaleY, pairsY, <i32>stride, false);
  const corner = source + <usize>top * stride + <usize>left * 3;
  for (let y = 0; y < size; y++) {
    const entry = tableY + <usize>y * strideY;
    mixRows(
      corner + <usize>load<i32>(entry),
      stride,
      entry + 4,
      pairsY,
      (right - left) * 3,
      row,
    );
    resampleRow(row, tableX, pairsX, size, target + <usize>(y * size) * 3);
  }
}
