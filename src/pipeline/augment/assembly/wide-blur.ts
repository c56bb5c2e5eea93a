/**
 * Pillow's GaussianBlur (BoxBlur.c) for box radii from 1: three box blurs of fractional radius along rows, then along
 * columns. A box of radius n + fraction weighs the 2n + 1 inner samples alike and the two outer ones less; edges are
 * repeated, once a box, which is why the three are not one kernel as in narrow-blur.ts.
 *
 * Samples are 16-bit with as many fractional bits as a window's sum leaves room for, so there is one rounding where
 * Pillow has three. Rows and columns share the code: a line is an array in which neighbours are `step` bytes apart
 * (3 samples in a row of RGB, 16 samples in a strip of 16 columns).
 */
const HALF = memory.data<i32>([1 << 14, 1 << 14, 1 << 14, 1 << 14]);

/** Eight samples of a box blur from the sum of those that weigh alike and the sum of the two outer ones. */
@inline
function weigh8(whole: v128, outer: v128, pair: v128, half: v128): v128 {
  const low = i16x8.shuffle(whole, outer, 0, 8, 1, 9, 2, 10, 3, 11);
  const high = i16x8.shuffle(whole, outer, 4, 12, 5, 13, 6, 14, 7, 15);
  const a = i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(low, pair), half), 15);
  const b = i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(high, pair), half), 15);
  return i16x8.narrow_i32x4_s(a, b);
}

/** Radius from 1 to 2, that of all recipes at their usual sizes: no loop over neighbours. */
function boxOne(from: usize, to: usize, bytes: usize, step: usize, pair: v128): void {
  const half = v128.load(HALF);
  for (const end = from + bytes; from < end; from += 32, to += 32) {
    const before = from - step;
    const after = from + step;
    const first = before - step;
    const last = after + step;
    const whole = i16x8.add(v128.load(from), i16x8.add(v128.load(before), v128.load(after)));
    const next = i16x8.add(v128.load(from, 16), i16x8.add(v128.load(before, 16), v128.load(after, 16)));
    v128.store(to, weigh8(whole, i16x8.add(v128.load(first), v128.load(last)), pair, half));
    v128.store(to, weigh8(next, i16x8.add(v128.load(first, 16), v128.load(last, 16)), pair, half), 16);
  }
}

/** Any radius: `inner` whole neighbours on either side and one weighed less. */
function boxMany(from: usize, to: usize, bytes: usize, step: usize, inner: i32, pair: v128): void {
  const half = v128.load(HALF);
  for (const end = from + bytes; from < end; from += 16, to += 16) {
    let whole = v128.load(from);
    let offset = step;
    for (let i = 0; i < inner; i++, offset += step) {
      whole = i16x8.add(whole, i16x8.add(v128.load(from - offset), v128.load(from + offset)));
    }
    v128.store(to, weigh8(whole, i16x8.add(v128.load(from - offset), v128.load(from + offset)), pair, half));
  }
}

/** One box blur of a line of `bytes` bytes of i16 samples. */
function box(from: usize, to: usize, bytes: usize, step: usize, inner: i32, pair: v128): void {
  if (inner == 1) boxOne(from, to, bytes, step, pair);
  else boxMany(from, to, bytes, step, inner, pair);
}

/** A pixel or a row of a strip, 6 or 32 bytes. `memory.copy` is a call out of WebAssembly, which costs more than that. */
@inline
function copyGroup(to: usize, from: usize, step: usize): void {
  if (step == 32) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
  } else {
    store<u32>(to, load<u32>(from));
    store<u16>(to, load<u16>(from, 4), 4);
  }
}

/** Repeats the first and the last group of `step` bytes `times` times outwards. */
function extend(line: usize, bytes: usize, step: usize, times: i32): void {
  const last = line + bytes - step;
  for (let i = 1; i <= times; i++) {
    copyGroup(line - <usize>i * step, line, step);
    copyGroup(last + <usize>i * step, last, step);
  }
}

/** Three boxes over the line at `a`; the result is at `b`. */
function threeBoxes(a: usize, b: usize, bytes: usize, step: usize, inner: i32, pair: v128): void {
  extend(a, bytes, step, inner + 1);
  box(a, b, bytes, step, inner, pair);
  extend(b, bytes, step, inner + 1);
  box(b, a, bytes, step, inner, pair);
  extend(a, bytes, step, inner + 1);
  box(a, b, bytes, step, inner, pair);
}

/**
 * Blurs an image in place.
 *
 * @param inner whole part of the box's radius
 * @param pair weights of the inner (low half) and the outer samples (high half), 15 fractional bits
 * @param fraction fractional bits of a sample: 255 * 2^fraction * (2 inner + 1) must fit 15 bits
 * @param scratch room for two lines: see `Kernels`
 */
export function wideBlur(
  image: usize,
  width: i32,
  height: i32,
  inner: i32,
  pair: i32,
  fraction: i32,
  scratch: usize,
): void {
  const weights = i32x4.splat(pair);
  const rowBytes = <usize>width * 3;
  const longest = max(rowBytes * 2, <usize>height * 32);
  const edge = <usize>(inner + 1) * 32 + 32;
  const a = scratch + edge;
  const b = a + longest + 2 * edge;
  const rounding: i32 = 1 << (fraction - 1);
  const half = i16x8.splat(<i16>rounding);

  for (let y = 0; y < height; y++) {
    const row = image + <usize>y * rowBytes;
    for (let i: usize = 0; i < rowBytes; i += 8)
      v128.store(a + 2 * i, i16x8.shl(v128.load8x8_u(row + i), fraction));
    threeBoxes(a, b, 2 * rowBytes, 6, inner, weights);
    for (let i: usize = 0; i < rowBytes; i += 8) {
      const sample = i16x8.shr_s(i16x8.add(v128.load(b + 2 * i), half), fraction);
      const bytes = i8x16.narrow_i16x8_u(sample, sample);
      if (i + 8 <= rowBytes) v128.store64_lane(row + i, bytes, 0);
      else storeSome(row + i, bytes, rowBytes - i);
    }
  }

  for (let x: usize = 0; x < rowBytes; x += 16) {
    const strip = image + x;
    for (let y: usize = 0; y < <usize>height; y++) {
      const bytes = v128.load(strip + y * rowBytes);
      v128.store(a + 32 * y, i16x8.shl(i16x8.extend_low_i8x16_u(bytes), fraction));
      v128.store(a + 32 * y, i16x8.shl(i16x8.extend_high_i8x16_u(bytes), fraction), 16);
    }
    threeBoxes(a, b, <usize>height * 32, 32, inner, weights);
    for (let y: usize = 0; y < <usize>height; y++) {
      const low = i16x8.shr_s(i16x8.add(v128.load(b + 32 * y), half), fraction);
      const high = i16x8.shr_s(i16x8.add(v128.load(b + 32 * y, 16), half), fraction);
      const bytes = i8x16.narrow_i16x8_u(low, high);
      if (x + 16 <= rowBytes) v128.store(strip + y * rowBytes, bytes);
      else storeSome(strip + y * rowBytes, bytes, rowBytes - x);
    }
  }
}

/** The first `count` bytes of a vector: the next row's bytes are still unread. */
function storeSome(at: usize, bytes: v128, count: usize): void {
  let low = i64x2.extract_lane(bytes, 0);
  let high = i64x2.extract_lane(bytes, 1);
  for (let i: usize = 0; i < count; i++) {
    store<u8>(at + i, <u8>low);
    low = (low >>> 8) | (high << 56);
    high >>>= 8;
  }
}
