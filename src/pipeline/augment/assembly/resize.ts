/**
 * Crop and resize with Pillow's antialiased bilinear filter (Resample.c), in fixed point.
 *
 * One output row at a time: the source rows under it are mixed into one row of 16-bit samples with 6 fractional bits,
 * which stays in the first-level cache, and that row is resampled horizontally. Pillow goes the other way round and
 * rounds to 8 bits in between; this order touches fewer bytes when shrinking and is at most one level away.
 */

/** Fractional bits of a weight; two weights share a 32-bit word for `i32x4.dot_i16x8_s`. */
const WEIGHT_BITS = 14;
const ONE: i32 = 1 << WEIGHT_BITS;

/** Weight pairs that any window needs: the open interval of length 2 * support holds at most ceil(2 * support) samples. */
function weightPairs(scale: f64): i32 {
  return ((<i32>Math.ceil(2.0 * max(scale, 1.0)) + 1) >> 1);
}

/**
 * For each output sample: the first input sample (i32, relative to `low`), then `pairs` pairs of weights (2 x i16).
 * Windows are clamped to the input samples [low, high); `from` and `scale` place the output grid on the input.
 */
function weights(table: usize, size: i32, low: i32, high: i32, from: f64, scale: f64, pairs: i32, reversed: bool): void {
  const support = max(scale, 1.0);
  const stride = <usize>(4 + 4 * pairs);
  for (let i = 0; i < size; i++) {
    const entry = table + <usize>(reversed ? size - 1 - i : i) * stride;
    const centre = from + (<f64>i + 0.5) * scale - 0.5;
    const first = max(low, <i32>Math.floor(centre - support) + 1);
    const end = min(high, <i32>Math.ceil(centre + support));
    let total = 0.0;
    for (let x = first; x < end; x++) total += support - Math.abs(<f64>x - centre);
    store<i32>(entry, first - low);
    let left = ONE;
    let heaviest: usize = entry + 4;
    for (let k = 0; k < 2 * pairs; k++) {
      const x = first + k;
      const weight = x < end ? <i32>Math.floor(((support - Math.abs(<f64>x - centre)) / total) * <f64>ONE + 0.5) : 0;
      const at = entry + 4 + <usize>(2 * k);
      store<i16>(at, <i16>weight);
      if (weight > <i32>load<i16>(heaviest)) heaviest = at;
      left -= weight;
    }
    // The weights must add up to one exactly, or flat areas would change.
    store<i16>(heaviest, <i16>(<i32>load<i16>(heaviest) + left));
  }
}

/** Mixes the source rows of one output row; `bytes` samples to `row` as i16 with 6 fractional bits. */
function mixRows(source: usize, stride: usize, entry: usize, pairs: i32, bytes: i32, row: usize): void {
  const half = i32x4.splat(1 << 7);
  const end = source + <usize>bytes;
  for (; source < end; source += 16, row += 32) {
    let a = half;
    let b = half;
    let c = half;
    let d = half;
    let from = source;
    for (let k: usize = 0; k < <usize>pairs; k++) {
      const pair = v128.load32_splat(entry + 4 * k);
      const upper = v128.load(from);
      const lower = v128.load(from + stride);
      const low = i8x16.shuffle(upper, lower, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const high = i8x16.shuffle(upper, lower, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      a = i32x4.add(a, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(low), pair));
      b = i32x4.add(b, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(low), pair));
      c = i32x4.add(c, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(high), pair));
      d = i32x4.add(d, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(high), pair));
      from += 2 * stride;
    }
    v128.store(row, i16x8.narrow_i32x4_s(i32x4.shr_s(a, 8), i32x4.shr_s(b, 8)));
    v128.store(row, i16x8.narrow_i32x4_s(i32x4.shr_s(c, 8), i32x4.shr_s(d, 8)), 16);
  }
}

/** Resamples one mixed row to `size` pixels. Each store writes a fourth byte that the next pixel covers. */
function resampleRow(row: usize, table: usize, pairs: i32, size: i32, target: usize): void {
  const stride = <usize>(4 + 4 * pairs);
  const half = i32x4.splat(1 << 19);
  const end = table + <usize>size * stride;
  for (; table < end; table += stride, target += 3) {
    let from = row + <usize>load<i32>(table) * 6;
    let sum = half;
    for (let k: usize = 0; k < <usize>pairs; k++) {
      const two = v128.load(from);
      // r g b r g b . . -> r r g g b b . .
      const paired = i8x16.shuffle(two, two, 0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, 4, 5, 10, 11);
      sum = i32x4.add(sum, i32x4.dot_i16x8_s(paired, v128.load32_splat(table + 4 * k, 4)));
      from += 12;
    }
    const narrow = i16x8.narrow_i32x4_s(i32x4.shr_s(sum, 20), sum);
    v128.store32_lane(target, i8x16.narrow_i16x8_u(narrow, narrow), 0);
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
  const pairsX = weightPairs(scaleX);
  const pairsY = weightPairs(scaleY);
  const strideX = <usize>(4 + 4 * pairsX);
  const strideY = <usize>(4 + 4 * pairsY);
  const tableX = scratch;
  const tableY = tableX + <usize>size * strideX;
  const row = (tableY + <usize>size * strideY + 15) & ~15;
  weights(tableX, size, left, right, boxLeft, scaleX, pairsX, flip);
  weights(tableY, size, top, bottom, boxTop, scaleY, pairsY, false);
  const stride = <usize>sourceWidth * 3;
  const corner = source + <usize>top * stride + <usize>left * 3;
  for (let y = 0; y < size; y++) {
    const entry = tableY + <usize>y * strideY;
    mixRows(corner + <usize>load<i32>(entry) * stride, stride, entry + 4, pairsY, (right - left) * 3, row);
    resampleRow(row, tableX, pairsX, size, target + <usize>(y * size) * 3);
  }
}
