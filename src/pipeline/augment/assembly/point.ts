/**
 * Operations that look at one pixel alone, any number of them in one pass over memory.
 *
 * A program is a list of 16-byte instructions {opcode, a, b, 0} (i32). For each block of 16 pixels the channels are
 * taken apart once, every instruction runs on three registers, and they are put together again. Every third byte of three
 * vectors of RGB is red, and no two of those are in the same lane, so masks make one vector of them; green is one lane on
 * from there, blue two. The pixels of a register are in an order of their own (PIXEL), which only a tail needs to know.
 */
import { lackOfBlue8, lackOfGreen8, lackOfRed8, sextants, turn8 } from './hue';
import { BLEND_BITS, EVERY_THIRD, mingle, rotateLeft, rotateLeftTwice, rotateRight, rotateRightTwice } from './lanes';

/** Opcodes; `kernels.ts` has the same list. */
const BLEND_GREY = 0; // a: weight of the image, b: share of the grey; both halves
const SATURATION = 1; // a: weight of the image, b: weight of the grey; both halves
const HUE = 2; // a: shift, 0..255
const GREYSCALE = 3;
const INVERT = 4;
const POSTERIZE = 5; // a: byte mask
const SOLARIZE = 6; // a: threshold, 0..255
const SOLARIZE_ADD = 7; // a: what is added, b: threshold, 0..255
const SUM_LUMA = 8;

// Weights of L with 16 fractional bits, 19595 of red, 38470 of green and 7471 of blue, as a high and a low byte.
const RED_HIGH = memory.data<i16>([76, 76, 76, 76, 76, 76, 76, 76]);
const RED_LOW = memory.data<i16>([139, 139, 139, 139, 139, 139, 139, 139]);
const GREEN_HIGH = memory.data<i16>([150, 150, 150, 150, 150, 150, 150, 150]);
const GREEN_LOW = memory.data<i16>([70, 70, 70, 70, 70, 70, 70, 70]);
const BLUE_HIGH = memory.data<i16>([29, 29, 29, 29, 29, 29, 29, 29]);
const BLUE_LOW = memory.data<i16>([47, 47, 47, 47, 47, 47, 47, 47]);
const HALF = memory.data<i16>([128, 128, 128, 128, 128, 128, 128, 128]);

/** Which of the 16 pixels each lane has. */
const PIXEL = memory.data<i8>([0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5]);

/** Eight of Pillow's L, (19595 R + 38470 G + 7471 B + 2^15) >> 16. The products of the high bytes add up to 16 bits, and so do those of the low ones. */
@inline
function luma8(r: v128, g: v128, b: v128): v128 {
  const high = i16x8.add(
    i16x8.add(i16x8.mul(r, v128.load(RED_HIGH)), i16x8.mul(g, v128.load(GREEN_HIGH))),
    i16x8.add(i16x8.mul(b, v128.load(BLUE_HIGH)), v128.load(HALF)),
  );
  const low = i16x8.add(
    i16x8.add(i16x8.mul(r, v128.load(RED_LOW)), i16x8.mul(g, v128.load(GREEN_LOW))),
    i16x8.mul(b, v128.load(BLUE_LOW)),
  );
  return i16x8.shr_u(i16x8.add(high, i16x8.shr_u(low, 8)), 8);
}

@inline
function luma(r: v128, g: v128, b: v128): v128 {
  return i8x16.narrow_i16x8_u(
    luma8(i16x8.extend_low_i8x16_u(r), i16x8.extend_low_i8x16_u(g), i16x8.extend_low_i8x16_u(b)),
    luma8(i16x8.extend_high_i8x16_u(r), i16x8.extend_high_i8x16_u(g), i16x8.extend_high_i8x16_u(b)),
  );
}

/** Pulls products that are whole numbers in exact arithmetic back over the truncation: 1/128 level. */
const BLEND_BIAS = memory.data<i16>([64, 64, 64, 64, 64, 64, 64, 64]);

/**
 * Eight of Pillow's `Image.blend`, truncated: (image * weight + share) >> BLEND_BITS, of which 256 * high + low are the weight and the
 * share. The low ones of an image and of what it is blended with add up to 256, so their sum fits 16 bits.
 */
@inline
function blend8(image: v128, weightLow: v128, weightHigh: v128, shareLow: v128, shareHigh: v128): v128 {
  const low = i16x8.shr_u(i16x8.add(i16x8.mul(image, weightLow), shareLow), 8);
  return i16x8.shr_s(i16x8.add(i16x8.add(i16x8.mul(image, weightHigh), shareHigh), low), BLEND_BITS - 8);
}

@inline
function blend16(image: v128, weightLow: v128, weightHigh: v128, shareLow: v128, shareHigh: v128): v128 {
  return i8x16.narrow_i16x8_u(
    blend8(i16x8.extend_low_i8x16_u(image), weightLow, weightHigh, shareLow, shareHigh),
    blend8(i16x8.extend_high_i8x16_u(image), weightLow, weightHigh, shareLow, shareHigh),
  );
}

@inline
function solarize(x: v128, threshold: v128): v128 {
  return v128.xor(x, i8x16.ge_u(x, threshold));
}

@inline
function solarizeAdd(x: v128, more: v128, threshold: v128): v128 {
  return i8x16.add_sat_u(x, v128.and(more, i8x16.lt_u(x, threshold)));
}

/**
 * Runs a program over an image in place.
 *
 * @returns the sum of L where SUM_LUMA stands in the program
 */
export function point(image: usize, pixels: i32, program: usize, instructions: i32): i32 {
  const end = program + <usize>instructions * 16;
  const thirds0 = v128.load(EVERY_THIRD);
  const thirds1 = v128.load(EVERY_THIRD, 16);
  const thirds2 = v128.load(EVERY_THIRD, 32);
  let sums = i32x4.splat(0);
  for (let left = pixels; left > 0; left -= 16, image += 48) {
    const first = v128.load(image);
    const second = v128.load(image, 16);
    const third = v128.load(image, 32);
    let r = mingle(first, third, second, thirds0, thirds1, thirds2);
    let g = rotateLeft(mingle(second, first, third, thirds0, thirds1, thirds2));
    let b = rotateLeftTwice(mingle(third, second, first, thirds0, thirds1, thirds2));
    for (let at = program; at < end; at += 16) {
      switch (load<i32>(at)) {
        case BLEND_GREY: {
          const weightLow = v128.load16_splat(at, 4);
          const weightHigh = v128.load16_splat(at, 6);
          const shareLow = v128.load16_splat(at, 8);
          const shareHigh = v128.load16_splat(at, 10);
          r = blend16(r, weightLow, weightHigh, shareLow, shareHigh);
          g = blend16(g, weightLow, weightHigh, shareLow, shareHigh);
          b = blend16(b, weightLow, weightHigh, shareLow, shareHigh);
          break;
        }
        case SATURATION: {
          const weightLow = v128.load16_splat(at, 4);
          const weightHigh = v128.load16_splat(at, 6);
          const greyWeightLow = v128.load16_splat(at, 8);
          const greyWeightHigh = v128.load16_splat(at, 10);
          const bias = v128.load(BLEND_BIAS);
          const red0 = i16x8.extend_low_i8x16_u(r);
          const green0 = i16x8.extend_low_i8x16_u(g);
          const blue0 = i16x8.extend_low_i8x16_u(b);
          const grey0 = luma8(red0, green0, blue0);
          const low0 = i16x8.add(i16x8.mul(grey0, greyWeightLow), bias);
          const high0 = i16x8.mul(grey0, greyWeightHigh);
          const red1 = i16x8.extend_high_i8x16_u(r);
          const green1 = i16x8.extend_high_i8x16_u(g);
          const blue1 = i16x8.extend_high_i8x16_u(b);
          const grey1 = luma8(red1, green1, blue1);
          const low1 = i16x8.add(i16x8.mul(grey1, greyWeightLow), bias);
          const high1 = i16x8.mul(grey1, greyWeightHigh);
          r = i8x16.narrow_i16x8_u(blend8(red0, weightLow, weightHigh, low0, high0), blend8(red1, weightLow, weightHigh, low1, high1));
          g = i8x16.narrow_i16x8_u(blend8(green0, weightLow, weightHigh, low0, high0), blend8(green1, weightLow, weightHigh, low1, high1));
          b = i8x16.narrow_i16x8_u(blend8(blue0, weightLow, weightHigh, low0, high0), blend8(blue1, weightLow, weightHigh, low1, high1));
          break;
        }
        case HUE: {
          const shift = v128.load16_splat(at, 4);
          const more = i8x16.max_u(r, g);
          const less = i8x16.min_u(r, g);
          const top = i8x16.max_u(more, b);
          const middle = i8x16.max_u(less, i8x16.min_u(more, b));
          const bottom = i8x16.min_u(less, b);
          const redGreen = i8x16.eq(more, r);
          const greenBlue = i8x16.eq(i8x16.max_u(g, b), g);
          const blueRed = i8x16.eq(i8x16.max_u(b, r), b);
          const sextant = sextants(redGreen, greenBlue, blueRed);
          // In sextants 1, 3 and 5, where one of the three holds, the middle channel falls.
          const falls = v128.xor(v128.xor(redGreen, greenBlue), blueRed);
          const rise = v128.bitselect(i8x16.sub(top, middle), i8x16.sub(middle, bottom), falls);
          const chroma = i8x16.sub(top, bottom);
          const chroma0 = i16x8.extend_low_i8x16_u(chroma);
          const chroma1 = i16x8.extend_high_i8x16_u(chroma);
          const turn0 = turn8(i16x8.extend_low_i8x16_u(sextant), i16x8.extend_low_i8x16_u(rise), chroma0, shift);
          const turn1 = turn8(i16x8.extend_high_i8x16_u(sextant), i16x8.extend_high_i8x16_u(rise), chroma1, shift);
          r = i8x16.sub(top, i8x16.narrow_i16x8_u(lackOfRed8(chroma0, turn0), lackOfRed8(chroma1, turn1)));
          g = i8x16.sub(top, i8x16.narrow_i16x8_u(lackOfGreen8(chroma0, turn0), lackOfGreen8(chroma1, turn1)));
          b = i8x16.sub(top, i8x16.narrow_i16x8_u(lackOfBlue8(chroma0, turn0), lackOfBlue8(chroma1, turn1)));
          break;
        }
        case GREYSCALE: {
          r = luma(r, g, b);
          g = r;
          b = r;
          break;
        }
        case INVERT: {
          r = v128.not(r);
          g = v128.not(g);
          b = v128.not(b);
          break;
        }
        case POSTERIZE: {
          const mask = v128.load8_splat(at, 4);
          r = v128.and(r, mask);
          g = v128.and(g, mask);
          b = v128.and(b, mask);
          break;
        }
        case SOLARIZE: {
          const threshold = v128.load8_splat(at, 4);
          r = solarize(r, threshold);
          g = solarize(g, threshold);
          b = solarize(b, threshold);
          break;
        }
        case SOLARIZE_ADD: {
          const more = v128.load8_splat(at, 4);
          const threshold = v128.load8_splat(at, 8);
          r = solarizeAdd(r, more, threshold);
          g = solarizeAdd(g, more, threshold);
          b = solarizeAdd(b, more, threshold);
          break;
        }
        case SUM_LUMA: {
          let grey = luma(r, g, b);
          if (left < 16) {
            grey = v128.and(grey, i8x16.lt_s(v128.load(PIXEL), i8x16.splat(<i8>left)));
          }
          sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(grey)));
          break;
        }
      }
    }
    g = rotateRight(g);
    b = rotateRightTwice(b);
    v128.store(image, mingle(r, g, b, thirds0, thirds1, thirds2));
    v128.store(image, mingle(g, b, r, thirds0, thirds1, thirds2), 16);
    v128.store(image, mingle(b, r, g, thirds0, thirds1, thirds2), 32);
  }
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}
