/**
 * Pillow's GaussianBlur for box radii below 1 (standard deviations below 1.41), where a box has three taps. The three
 * boxes are one symmetric kernel of seven taps: with three taps, repeating the edge sample is the same as mirroring
 * the line at its edge, and a mirrored line stays one through every pass, so the edges come out right as well.
 */
const HALF = memory.data<i32>([1 << 13, 1 << 13, 1 << 13, 1 << 13]);

/** Samples reach three pixels out. */
const REACH = 3;

/** Eight bytes each of two neighbours, added. */
@inline
function both(a: usize, b: usize): v128 {
  return i16x8.add(v128.load8x8_u(a), v128.load8x8_u(b));
}

/** Eight outputs from the centre and the sums of the neighbours at distance 1, 2 and 3. */
@inline
function taps8(centre: v128, one: v128, two: v128, three: v128, inner: v128, outer: v128): v128 {
  const half = v128.load(HALF);
  const innerLow = i16x8.shuffle(centre, one, 0, 8, 1, 9, 2, 10, 3, 11);
  const innerHigh = i16x8.shuffle(centre, one, 4, 12, 5, 13, 6, 14, 7, 15);
  const outerLow = i16x8.shuffle(two, three, 0, 8, 1, 9, 2, 10, 3, 11);
  const outerHigh = i16x8.shuffle(two, three, 4, 12, 5, 13, 6, 14, 7, 15);
  const low = i32x4.add(i32x4.add(i32x4.dot_i16x8_s(innerLow, inner), half), i32x4.dot_i16x8_s(outerLow, outer));
  const high = i32x4.add(i32x4.add(i32x4.dot_i16x8_s(innerHigh, inner), half), i32x4.dot_i16x8_s(outerHigh, outer));
  return i16x8.narrow_i32x4_s(i32x4.shr_s(low, 14), i32x4.shr_s(high, 14));
}

/** Index of a sample of the mirrored line, for any i. */
function mirrored(i: i32, length: i32): i32 {
  while (i < 0 || i >= length) i = i < 0 ? -1 - i : 2 * length - 1 - i;
  return i;
}

/** `memory.copy` is a call out of WebAssembly, which costs more than a few bytes. */
@inline
function copyPixel(to: usize, from: usize): void {
  store<u16>(to, load<u16>(from));
  store<u8>(to, load<u8>(from, 2), 2);
}

function blurRow(row: usize, width: i32, line: usize, target: usize, inner: v128, outer: v128): void {
  const bytes = <usize>width * 3;
  const start = line + REACH * 3;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(start + i, v128.load(row + i));
  for (let i = 1; i <= REACH; i++) {
    copyPixel(start - <usize>i * 3, row + <usize>mirrored(-i, width) * 3);
    copyPixel(start + bytes + <usize>(i - 1) * 3, row + <usize>mirrored(width - 1 + i, width) * 3);
  }
  const end = start + bytes;
  for (let at = start; at < end; at += 16, target += 16) {
    const low = taps8(v128.load8x8_u(at), both(at - 3, at + 3), both(at - 6, at + 6), both(at - 9, at + 9), inner, outer);
    const next = at + 8;
    const high = taps8(v128.load8x8_u(next), both(next - 3, next + 3), both(next - 6, next + 6), both(next - 9, next + 9), inner, outer);
    v128.store(target, i8x16.narrow_i16x8_u(low, high));
  }
}

/**
 * Blurs an image in place, by way of `spare`, which has the same room.
 *
 * @param innerPair weights of the centre (low half) and of distance 1, 14 fractional bits
 * @param outerPair weights of distances 2 and 3
 * @param line room for a row and SLACK
 */
export function narrowBlur(image: usize, spare: usize, width: i32, height: i32, innerPair: i32, outerPair: i32, line: usize): void {
  const inner = i32x4.splat(innerPair);
  const outer = i32x4.splat(outerPair);
  const stride = <usize>width * 3;
  for (let y: usize = 0; y < <usize>height; y++) blurRow(image + y * stride, width, line, spare + y * stride, inner, outer);
  for (let y = 0; y < height; y++) {
    const at = spare + <usize>y * stride;
    const up1 = spare + <usize>mirrored(y - 1, height) * stride;
    const up2 = spare + <usize>mirrored(y - 2, height) * stride;
    const up3 = spare + <usize>mirrored(y - 3, height) * stride;
    const down1 = spare + <usize>mirrored(y + 1, height) * stride;
    const down2 = spare + <usize>mirrored(y + 2, height) * stride;
    const down3 = spare + <usize>mirrored(y + 3, height) * stride;
    const target = image + <usize>y * stride;
    for (let x: usize = 0; x < stride; x += 16) {
      const low = taps8(v128.load8x8_u(at + x), both(up1 + x, down1 + x), both(up2 + x, down2 + x), both(up3 + x, down3 + x), inner, outer);
      const next = x + 8;
      const high = taps8(v128.load8x8_u(at + next), both(up1 + next, down1 + next), both(up2 + next, down2 + next), both(up3 + next, down3 + next), inner, outer);
      v128.store(target + x, i8x16.narrow_i16x8_u(low, high));
    }
  }
}
