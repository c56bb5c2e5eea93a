/** Pillow's `Image.transform(AFFINE, BILINEAR)` with a fill colour (Geometry.c). */

/** Fractional bits of a source position: steps of 2^-18 pixels drift less than 0.001 over any row. */
const POSITION_BITS = 18;
const ONE = <f64>(1 << POSITION_BITS);

@inline
function inside(position: f64, limit: i32): bool {
  return position >= 0.0 && position < <f64>limit;
}

/** Smallest x in [0, width] from which `slope * x + offset` may lie in [0, limit), one pixel early at most. */
function spanStart(slope: f64, offset: f64, limit: f64, width: i32): i32 {
  if (slope == 0.0) return offset >= 0.0 && offset < limit ? 0 : width;
  const edge = slope > 0.0 ? -offset / slope : (limit - offset) / slope;
  return <i32>min(max(Math.floor(edge), 0.0), <f64>width);
}

/** Like `spanStart`, the exclusive end, one pixel late at most. */
function spanEnd(slope: f64, offset: f64, limit: f64, width: i32): i32 {
  if (slope == 0.0) return offset >= 0.0 && offset < limit ? width : 0;
  const edge = slope > 0.0 ? (limit - offset) / slope : -offset / slope;
  return <i32>min(max(Math.ceil(edge) + 1.0, 0.0), <f64>width);
}

function fill(from: usize, end: usize, colour: i32): void {
  for (; from < end; from += 3) {
    store<u8>(from, <u8>colour);
    store<u8>(from, <u8>(colour >> 8), 1);
    store<u8>(from, <u8>(colour >> 16), 2);
  }
}

/** Mixes the four neighbours at `at`; `top` and `bottom` hold their weights in every lane. Result: r, g, b in 32-bit lanes. */
@inline
function sample(at: usize, stride: usize, top: v128, bottom: v128): v128 {
  // r g b r g b . . -> r r g g b b as 16-bit lanes; an index beyond 15 gives 0.
  const order = i8x16(0, -128, 3, -128, 1, -128, 4, -128, 2, -128, 5, -128, -128, -128, -128, -128);
  const upper = i8x16.swizzle(v128.load64_zero(at), order);
  const lower = i8x16.swizzle(v128.load64_zero(at + stride), order);
  return i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(upper, top), i32x4.dot_i16x8_s(lower, bottom)), 14);
}

/**
 * Output pixel (x, y) is the source at (a x' + b y' + c, d x' + e y' + f), x' and y' being pixel centres; what falls
 * outside the source is filled.
 *
 * @param colour red in the low byte, then green, then blue
 */
export function transform(
  source: usize,
  target: usize,
  width: i32,
  height: i32,
  a: f64,
  b: f64,
  c: f64,
  d: f64,
  e: f64,
  f: f64,
  colour: i32,
): void {
  const stride = <usize>width * 3;
  const stepX = i32x4.splat(<i32>Math.round(4.0 * a * ONE));
  const stepY = i32x4.splat(<i32>Math.round(4.0 * d * ONE));
  const limitX = i32x4.splat((width - 1) << POSITION_BITS);
  const limitY = i32x4.splat((height - 1) << POSITION_BITS);
  const zero = i32x4.splat(0);
  const fraction = i32x4.splat((1 << POSITION_BITS) - 1);
  const one = i32x4.splat(1 << 14);
  const strides = i32x4.splat(<i32>stride);

  for (let y = 0; y < height; y++) {
    const offsetX = a * 0.5 + b * (<f64>y + 0.5) + c;
    const offsetY = d * 0.5 + e * (<f64>y + 0.5) + f;
    let start = max(spanStart(a, offsetX, <f64>width, width), spanStart(d, offsetY, <f64>height, width));
    let end = min(spanEnd(a, offsetX, <f64>width, width), spanEnd(d, offsetY, <f64>height, width));
    while (start < end && !(inside(a * <f64>start + offsetX, width) && inside(d * <f64>start + offsetY, height))) start++;
    while (end > start && !(inside(a * <f64>(end - 1) + offsetX, width) && inside(d * <f64>(end - 1) + offsetY, height))) end--;
    if (end < start) end = start;

    const row = target + <usize>y * stride;
    fill(row, row + <usize>start * 3, colour);
    const firstX = (a * <f64>start + offsetX - 0.5) * ONE;
    const firstY = (d * <f64>start + offsetY - 0.5) * ONE;
    let atX = i32x4(<i32>firstX, <i32>(firstX + a * ONE), <i32>(firstX + 2.0 * a * ONE), <i32>(firstX + 3.0 * a * ONE));
    let atY = i32x4(<i32>firstY, <i32>(firstY + d * ONE), <i32>(firstY + 2.0 * d * ONE), <i32>(firstY + 3.0 * d * ONE));
    for (let x = start; x < end; x += 4) {
      // Clamping the position is clamping the neighbours' indices: at the far edge the further one weighs 0.
      const nearX = i32x4.min_s(i32x4.max_s(atX, zero), limitX);
      const nearY = i32x4.min_s(i32x4.max_s(atY, zero), limitY);
      const column = i32x4.shr_s(nearX, POSITION_BITS);
      const line = i32x4.shr_s(nearY, POSITION_BITS);
      const offset = i32x4.add(i32x4.mul(line, strides), i32x4.add(column, i32x4.shl(column, 1)));
      const dx = i32x4.shr_u(v128.and(nearX, fraction), POSITION_BITS - 14);
      const dy = i32x4.shr_u(v128.and(nearY, fraction), POSITION_BITS - 14);
      const both = i32x4.shr_u(i32x4.mul(dx, dy), 14);
      const right = i32x4.sub(dx, both);
      const below = i32x4.sub(dy, both);
      const here = i32x4.sub(i32x4.sub(one, dx), below);
      const top = v128.or(here, i32x4.shl(right, 16));
      const bottom = v128.or(below, i32x4.shl(both, 16));
      const p0 = sample(source + <usize>i32x4.extract_lane(offset, 0), stride, i32x4.shuffle(top, top, 0, 0, 0, 0), i32x4.shuffle(bottom, bottom, 0, 0, 0, 0));
      const p1 = sample(source + <usize>i32x4.extract_lane(offset, 1), stride, i32x4.shuffle(top, top, 1, 1, 1, 1), i32x4.shuffle(bottom, bottom, 1, 1, 1, 1));
      const p2 = sample(source + <usize>i32x4.extract_lane(offset, 2), stride, i32x4.shuffle(top, top, 2, 2, 2, 2), i32x4.shuffle(bottom, bottom, 2, 2, 2, 2));
      const p3 = sample(source + <usize>i32x4.extract_lane(offset, 3), stride, i32x4.shuffle(top, top, 3, 3, 3, 3), i32x4.shuffle(bottom, bottom, 3, 3, 3, 3));
      const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(p0, p1), i16x8.narrow_i32x4_s(p2, p3));
      v128.store(row + <usize>x * 3, i8x16.swizzle(bytes, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)));
      atX = i32x4.add(atX, stepX);
      atY = i32x4.add(atY, stepY);
    }
    fill(row + <usize>end * 3, row + stride, colour);
  }
}
