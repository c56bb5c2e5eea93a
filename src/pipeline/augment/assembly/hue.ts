/**
 * Turns the hue circle as Pillow does by way of its 8-bit HSV (Convert.c). Hue is quantised as there: without that, results
 * differ by up to 6 levels. Saturation is not, which spares a division and differs by up to 1: a channel is
 * value * (1 - saturation * away), and value * saturation is the chroma.
 *
 * A hue lies in one of six sextants. From one border of it to the other the middle channel goes from the least to the
 * greatest one or back, so hue * 6 is sextant + rise / chroma, `rise` being how far that channel has gone.
 */

// Words of eight lanes. Hue times 6 is 255 a sextant: TURN_n is n sextants.
const BYTE = memory.data<i16>([255, 255, 255, 255, 255, 255, 255, 255]);
const SIX = memory.data<i16>([6, 6, 6, 6, 6, 6, 6, 6]);
const HALF = memory.data<i16>([128, 128, 128, 128, 128, 128, 128, 128]);
const TURN_2 = memory.data<i16>([510, 510, 510, 510, 510, 510, 510, 510]);
const TURN_3 = memory.data<i16>([765, 765, 765, 765, 765, 765, 765, 765]);
const TURN_4 = memory.data<i16>([1020, 1020, 1020, 1020, 1020, 1020, 1020, 1020]);

// A bit for each comparison makes an index into SEXTANT.
const BIT_0 = memory.data<i8>([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
const BIT_1 = memory.data<i8>([2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
const BIT_2 = memory.data<i8>([4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
const SEXTANT = memory.data<i8>([0, 5, 1, 0, 3, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Upper half of a float from 2^23 on, whose lower half is then a whole number. */
const WHOLE_HIGH = memory.data<i16>([0x4b00, 0x4b00, 0x4b00, 0x4b00, 0x4b00, 0x4b00, 0x4b00, 0x4b00]);
const WHOLE = memory.data<f32>([8388608, 8388608, 8388608, 8388608]);
/** 255ths of a turn a sextant, over 256. */
const SCALE = memory.data<f32>([42.5 / 256, 42.5 / 256, 42.5 / 256, 42.5 / 256]);
/**
 * Bits 15 to 22 of a float from 1 to 2 are 256ths. A hue that is not whole is at least 1/510 below the next that is, so 1/1024 more
 * makes good what division and multiplication round, and no more.
 */
const ONE_AND_BIAS = memory.data<f32>([1 + 1 / 262144, 1 + 1 / 262144, 1 + 1 / 262144, 1 + 1 / 262144]);

@inline
function toFloatLow(x: v128): v128 {
  return f32x4.sub(i16x8.shuffle(x, v128.load(WHOLE_HIGH), 0, 8, 1, 9, 2, 10, 3, 11), v128.load(WHOLE));
}

@inline
function toFloatHigh(x: v128): v128 {
  return f32x4.sub(i16x8.shuffle(x, v128.load(WHOLE_HIGH), 4, 12, 5, 13, 6, 14, 7, 15), v128.load(WHOLE));
}

/** Low byte: whole part of 42.5 * turn / chroma; the high byte is garbage. */
@inline
function quantise4(turn: v128, chroma: v128): v128 {
  const hue = f32x4.mul(turn, f32x4.div(v128.load(SCALE), chroma));
  return i32x4.shr_u(f32x4.add(hue, v128.load(ONE_AND_BIAS)), 15);
}

/** The sextants, 0..5, of 16 colours from three comparisons, as masks: red >= green, green >= blue, blue >= red. */
@inline
export function sextants(redGreen: v128, greenBlue: v128, blueRed: v128): v128 {
  const index = v128.or(
    v128.or(v128.and(redGreen, v128.load(BIT_0)), v128.and(greenBlue, v128.load(BIT_1))),
    v128.and(blueRed, v128.load(BIT_2)),
  );
  return i8x16.swizzle(v128.load(SEXTANT), index);
}

/**
 * The turned hue of eight colours times 6, so that a sextant is 255. Anything for grey, whose chroma is 0.
 *
 * @param shift 255ths of a turn
 */
@inline
export function turn8(sextant: v128, rise: v128, chroma: v128, shift: v128): v128 {
  const turn = i16x8.add(i16x8.mul(sextant, chroma), rise);
  const hue = i16x8.narrow_i32x4_s(
    quantise4(toFloatLow(turn), toFloatLow(chroma)),
    quantise4(toFloatHigh(turn), toFloatHigh(chroma)),
  );
  return i16x8.mul(v128.and(i16x8.add(hue, shift), v128.load(BYTE)), v128.load(SIX));
}

/** chroma * away / 255, rounded. */
@inline
function share8(chroma: v128, away: v128): v128 {
  const product = i16x8.add(i16x8.mul(chroma, i16x8.min_u(away, v128.load(BYTE))), v128.load(HALF));
  return i16x8.shr_u(i16x8.add(product, i16x8.shr_u(product, 8)), 8);
}

/**
 * How much less than the greatest channel of an HSV colour each one is. How far a channel is from full is a trapezium over the hue
 * circle: 0 within a sextant of its own hue, 255 from two sextants on.
 */
@inline
export function lackOfRed8(chroma: v128, turn: v128): v128 {
  return share8(chroma, i16x8.sub_sat_u(v128.load(TURN_2), i16x8.abs(i16x8.sub(turn, v128.load(TURN_3)))));
}

@inline
export function lackOfGreen8(chroma: v128, turn: v128): v128 {
  return share8(chroma, i16x8.sub_sat_u(i16x8.abs(i16x8.sub(turn, v128.load(TURN_2))), v128.load(BYTE)));
}

@inline
export function lackOfBlue8(chroma: v128, turn: v128): v128 {
  return share8(chroma, i16x8.sub_sat_u(i16x8.abs(i16x8.sub(turn, v128.load(TURN_4))), v128.load(BYTE)));
}
