/**
 * Rows of samples to rows of pixels, as libjpeg's jdsample.c does it: where there is half as many of them, three parts of the nearer sample
 * and one of the further; otherwise samples are repeated. Halves are rounded up and down in turn.
 */
import { Component } from './frame';

/** Half a component has to be wider than this to be interpolated across. */
const NARROW = 2;

/** Sums of one row, i16, with room for one more on both sides. */
let sums: usize = 0;

/** @param line room for 32 bytes more than the widest half of a row has, i16 */
export function setSums(line: usize): void {
  sums = line + 16;
}

@inline
function sampleRow(own: Component, y: i32): usize {
  return own.plane + <usize>(y & (own.rows - 1)) * own.stride;
}

/** The row on the other side of the nearer one; the last rows have none beyond and stand for it. */
@inline
function furtherRow(own: Component, y: i32): usize {
  const beyond = (y >> 1) + ((y & 1) == 0 ? -1 : 1);
  return sampleRow(own, min(max(beyond, 0), own.height - 1));
}

/**
 * A row of the image's pixels of one component.
 *
 * @param left, right the pixels that are wanted
 * @returns the address of pixel 0
 */
export function pixelRow(own: Component, y: i32, left: i32, right: i32): usize {
  const expandX = own.expandX;
  const expandY = own.expandY;
  if (expandX == 1 && expandY == 1) return sampleRow(own, y);
  if (expandX == 1 && expandY == 2) {
    mixRows(sampleRow(own, y >> 1), furtherRow(own, y), left, right, own.line, 1 + (y & 1));
    return own.line;
  }
  const wide = expandX == 2 && own.width > NARROW;
  const first = max((left >> 1) - 1, 0);
  const end = min(((right + 1) >> 1) + 1, own.width);
  if (wide && expandY == 1) {
    widen(sampleRow(own, y), first, end);
    interpolate(own, left, right, 1, 2, 2);
  } else if (wide && expandY == 2) {
    sumRows(sampleRow(own, y >> 1), furtherRow(own, y), first, end);
    interpolate(own, left, right, 8, 7, 4);
  } else {
    repeat(sampleRow(own, y / expandY), left, right, expandX, own.line);
  }
  return own.line;
}

@inline
function threeToOne(nearer: v128, further: v128): v128 {
  return i16x8.add(i16x8.add(nearer, i16x8.shl(nearer, 1)), further);
}

function mixRows(nearer: usize, further: usize, left: i32, right: i32, to: usize, bias: i32): void {
  const add = i16x8.splat(<i16>bias);
  for (let x = <usize>(left & ~15); x < <usize>right; x += 16) {
    const near = v128.load(nearer + x);
    const far = v128.load(further + x);
    const low = threeToOne(i16x8.extend_low_i8x16_u(near), i16x8.extend_low_i8x16_u(far));
    const high = threeToOne(i16x8.extend_high_i8x16_u(near), i16x8.extend_high_i8x16_u(far));
    v128.store(to + x, i8x16.narrow_i16x8_u(i16x8.shr_u(i16x8.add(low, add), 2), i16x8.shr_u(i16x8.add(high, add), 2)));
  }
}

function widen(row: usize, first: i32, end: i32): void {
  for (let x = <usize>(first & ~7); x < <usize>end; x += 8) v128.store(sums + 2 * x, v128.load8x8_u(row + x));
}

function sumRows(nearer: usize, further: usize, first: i32, end: i32): void {
  for (let x = <usize>(first & ~7); x < <usize>end; x += 8) {
    v128.store(sums + 2 * x, threeToOne(v128.load8x8_u(nearer + x), v128.load8x8_u(further + x)));
  }
}

/** From the sums two pixels each: the left one leans to the sum before, the right one to the sum behind. */
@inline
function interpolate(own: Component, left: i32, right: i32, leftBias: i32, rightBias: i32, shift: i32): void {
  const width = <usize>own.width;
  store<i16>(sums - 2, load<i16>(sums));
  store<i16>(sums + 2 * width, load<i16>(sums + 2 * width - 2));
  const to = own.line;
  const addLeft = i16x8.splat(<i16>leftBias);
  const addRight = i16x8.splat(<i16>rightBias);
  for (let x = <usize>((left >> 1) & ~7), end = <usize>((right + 1) >> 1); x < end; x += 8) {
    const at = sums + 2 * x;
    const nearer = v128.load(at);
    const leftPixels = i16x8.shr_u(i16x8.add(threeToOne(nearer, v128.load(at - 2)), addLeft), shift);
    const rightPixels = i16x8.shr_u(i16x8.add(threeToOne(nearer, v128.load(at, 2)), addRight), shift);
    v128.store(to + 2 * x, v128.or(leftPixels, i16x8.shl(rightPixels, 8)));
  }
}

function repeat(row: usize, left: i32, right: i32, times: i32, to: usize): void {
  for (let x = left; x < right; x++) store<u8>(to + <usize>x, load<u8>(row + <usize>(x / times)));
}
