/**
 * Operations that look at one pixel alone, any number of them in one pass over memory.
 *
 * A program is a list of 16-byte instructions {opcode, a, b, 0} (i32). For each block of 16 pixels the channels are
 * taken apart once, every instruction runs on three registers, and they are put together again.
 */
import { BYTE, SIX, hue8, channelRed8, channelGreen8, channelBlue8 } from './hue';
import { blend, blue, green, red, storeRgb, zipHigh, zipLow } from './lanes';

/** Opcodes; `kernels.ts` has the same list. */
const BLEND_GREY = 0; // a: weight pair, b: grey level
const SATURATION = 1; // a: weight pair
const HUE = 2; // a: shift, 0..255
const GREYSCALE = 3;
const INVERT = 4;
const POSTERIZE = 5; // a: byte mask
const SOLARIZE = 6; // a: threshold, 0..255
const SOLARIZE_ADD = 7; // a: what is added, b: threshold, 0..255
const SUM_LUMA = 8;

// Weights of (red, green) and (green, blue), 16 fractional bits; 38470 is 2 * 19235 as it does not fit 16 bits.
const RED_GREEN = memory.data<i16>([19595, 19235, 19595, 19235, 19595, 19235, 19595, 19235]);
const GREEN_BLUE = memory.data<i16>([19235, 7471, 19235, 7471, 19235, 7471, 19235, 7471]);
const HALF = memory.data<i32>([1 << 15, 1 << 15, 1 << 15, 1 << 15]);

/** Four of Pillow's L: (19595 R + 38470 G + 7471 B + 2^15) >> 16. */
@inline
function luma4(redGreen: v128, greenBlue: v128): v128 {
  const sum = i32x4.add(
    i32x4.dot_i16x8_s(redGreen, v128.load(RED_GREEN)),
    i32x4.dot_i16x8_s(greenBlue, v128.load(GREEN_BLUE)),
  );
  return i32x4.shr_u(i32x4.add(sum, v128.load(HALF)), 16);
}

@inline
function luma(r: v128, g: v128, b: v128): v128 {
  const rgLow = zipLow(r, g);
  const rgHigh = zipHigh(r, g);
  const gbLow = zipLow(g, b);
  const gbHigh = zipHigh(g, b);
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(
      luma4(i16x8.extend_low_i8x16_u(rgLow), i16x8.extend_low_i8x16_u(gbLow)),
      luma4(i16x8.extend_high_i8x16_u(rgLow), i16x8.extend_high_i8x16_u(gbLow)),
    ),
    i16x8.narrow_i32x4_s(
      luma4(i16x8.extend_low_i8x16_u(rgHigh), i16x8.extend_low_i8x16_u(gbHigh)),
      luma4(i16x8.extend_high_i8x16_u(rgHigh), i16x8.extend_high_i8x16_u(gbHigh)),
    ),
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
  let sums = i32x4.splat(0);
  for (let left = pixels; left > 0; left -= 16, image += 48) {
    const first = v128.load(image);
    const second = v128.load(image, 16);
    const third = v128.load(image, 32);
    let r = red(first, second, third);
    let g = green(first, second, third);
    let b = blue(first, second, third);
    for (let at = program; at < end; at += 16) {
      switch (load<i32>(at)) {
        case BLEND_GREY: {
          const pair = v128.load32_splat(at, 4);
          const grey = v128.load8_splat(at, 8);
          r = blend(grey, r, pair);
          g = blend(grey, g, pair);
          b = blend(grey, b, pair);
          break;
        }
        case SATURATION: {
          const pair = v128.load32_splat(at, 4);
          const grey = luma(r, g, b);
          r = blend(grey, r, pair);
          g = blend(grey, g, pair);
          b = blend(grey, b, pair);
          break;
        }
        case HUE: {
          const shift = i16x8.splat(load<i16>(at, 4));
          const byte = v128.load(BYTE);
          const top = i8x16.max_u(i8x16.max_u(r, g), b);
          const chroma = i8x16.sub(top, i8x16.min_u(i8x16.min_u(r, g), b));
          const topLow = i16x8.extend_low_i8x16_u(top);
          const topHigh = i16x8.extend_high_i8x16_u(top);
          const chromaLow = i16x8.extend_low_i8x16_u(chroma);
          const chromaHigh = i16x8.extend_high_i8x16_u(chroma);
          const six = v128.load(SIX);
          const hueLow = hue8(i16x8.extend_low_i8x16_u(r), i16x8.extend_low_i8x16_u(g), i16x8.extend_low_i8x16_u(b), topLow, chromaLow);
          const hueHigh = hue8(i16x8.extend_high_i8x16_u(r), i16x8.extend_high_i8x16_u(g), i16x8.extend_high_i8x16_u(b), topHigh, chromaHigh);
          const turnedLow = i16x8.mul(v128.and(i16x8.add(hueLow, shift), byte), six);
          const turnedHigh = i16x8.mul(v128.and(i16x8.add(hueHigh, shift), byte), six);
          r = i8x16.narrow_i16x8_u(channelRed8(topLow, chromaLow, turnedLow), channelRed8(topHigh, chromaHigh, turnedHigh));
          g = i8x16.narrow_i16x8_u(channelGreen8(topLow, chromaLow, turnedLow), channelGreen8(topHigh, chromaHigh, turnedHigh));
          b = i8x16.narrow_i16x8_u(channelBlue8(topLow, chromaLow, turnedLow), channelBlue8(topHigh, chromaHigh, turnedHigh));
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
            const lane = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            grey = v128.and(grey, i8x16.lt_s(lane, i8x16.splat(<i8>left)));
          }
          sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(grey)));
          break;
        }
      }
    }
    storeRgb(image, r, g, b);
  }
  return i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
}
