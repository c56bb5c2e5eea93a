/**
 * Turns the hue circle as Pillow does by way of its 8-bit HSV (Convert.c), eight pixels in 16-bit lanes. Hue is quantised as
 * there: without that, results differ by up to 6 levels. Saturation is not, which spares a division and differs by up to 1: a
 * channel is value * (1 - saturation * away), and value * saturation is the chroma.
 */

// Words of eight lanes. Hue times 6 is 255 a sextant: TURN_n is n sextants.
export const BYTE = memory.data<i16>([255, 255, 255, 255, 255, 255, 255, 255]);
export const SIX = memory.data<i16>([6, 6, 6, 6, 6, 6, 6, 6]);
const ONE = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1]);
const TWO = memory.data<i16>([2, 2, 2, 2, 2, 2, 2, 2]);
const FOUR = memory.data<i16>([4, 4, 4, 4, 4, 4, 4, 4]);
const TURN_2 = memory.data<i16>([510, 510, 510, 510, 510, 510, 510, 510]);
const TURN_3 = memory.data<i16>([765, 765, 765, 765, 765, 765, 765, 765]);
const TURN_4 = memory.data<i16>([1020, 1020, 1020, 1020, 1020, 1020, 1020, 1020]);
const LOW_BYTE = memory.data<i32>([255, 255, 255, 255]);
/** 2^15: a float of this size has 8 fractional bits, so adding it turns a float into fixed point. */
const FIXED = memory.data<f32>([32768, 32768, 32768, 32768]);
/** Sextants to 255ths of a turn. */
const SEXTANT_SCALE = memory.data<f32>([42.5, 42.5, 42.5, 42.5]);

/** Whole part of eight non-negative floats below 256, as i16x8. */
@inline
function truncate8(low: v128, high: v128): v128 {
  const byte = v128.load(LOW_BYTE);
  return i16x8.narrow_i32x4_s(
    v128.and(i32x4.shr_u(f32x4.add(low, v128.load(FIXED)), 8), byte),
    v128.and(i32x4.shr_u(f32x4.add(high, v128.load(FIXED)), 8), byte),
  );
}

@inline
function toFloatLow(x: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x));
}

@inline
function toFloatHigh(x: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x));
}

/** Hue in 255ths of a turn; 0 for grey. */
@inline
export function hue8(r: v128, g: v128, b: v128, top: v128, chroma: v128): v128 {
  const isRed = i16x8.eq(top, r);
  const isGreen = i16x8.eq(top, g);
  const fromRed = i16x8.sub(g, b);
  const numerator = v128.bitselect(fromRed, v128.bitselect(i16x8.sub(b, r), i16x8.sub(r, g), isGreen), isRed);
  const sextant = v128.bitselect(
    v128.and(i16x8.shr_s(fromRed, 15), v128.load(SIX)),
    v128.bitselect(v128.load(TWO), v128.load(FOUR), isGreen),
    isRed,
  );
  const turn = i16x8.add(numerator, i16x8.mul(sextant, chroma));
  const divisor = i16x8.max_s(chroma, v128.load(ONE));
  const scale = v128.load(SEXTANT_SCALE);
  return truncate8(
    f32x4.mul(f32x4.div(toFloatLow(turn), toFloatLow(divisor)), scale),
    f32x4.mul(f32x4.div(toFloatHigh(turn), toFloatHigh(divisor)), scale),
  );
}

/** value - chroma * away / 255, rounded. */
@inline
function channel8(value: v128, chroma: v128, away: v128): v128 {
  const clamped = i16x8.min_s(i16x8.max_s(away, i16x8.splat(0)), v128.load(BYTE));
  const product = i16x8.add(i16x8.mul(chroma, clamped), i16x8.splat(128));
  return i16x8.sub(value, i16x8.shr_u(i16x8.add(product, i16x8.shr_u(product, 8)), 8));
}

/**
 * Channels of an HSV colour; `turn` is the hue times 6, so that a sextant is 255. How far a channel is from full
 * is a trapezium over the hue circle: 0 within a sextant of its own hue, 255 from two sextants on.
 */
@inline
export function channelRed8(value: v128, chroma: v128, turn: v128): v128 {
  return channel8(value, chroma, i16x8.sub(v128.load(TURN_2), i16x8.abs(i16x8.sub(turn, v128.load(TURN_3)))));
}

@inline
export function channelGreen8(value: v128, chroma: v128, turn: v128): v128 {
  return channel8(value, chroma, i16x8.sub(i16x8.abs(i16x8.sub(turn, v128.load(TURN_2))), v128.load(BYTE)));
}

@inline
export function channelBlue8(value: v128, chroma: v128, turn: v128): v128 {
  return channel8(value, chroma, i16x8.sub(i16x8.abs(i16x8.sub(turn, v128.load(TURN_4))), v128.load(BYTE)));
}
