/** Weights of Pillow's GaussianBlur, as the WebAssembly kernels take them. */

/** Radii stay below this: standard deviations up to 8 pixels. A window's 15 samples still leave 3 fractional bits of 16. */
export const BOX_RADIUS_LIMIT = 8;

/**
 * Radius below 1: three boxes (f, 1 - 2f, f) as one kernel of seven taps, 14 fractional bits.
 *
 * @returns `inner`: the centre's weight (low 16 bits) and that at distance 1; `outer`: at distances 2 and 3
 */
export function narrowWeights(radius: number): { readonly inner: number; readonly outer: number } {
  const one = 1 << 14;
  const side = radius / (2 * radius + 1);
  const centre = 1 - 2 * side;
  const third = Math.round(side ** 3 * one);
  const second = Math.round(3 * side ** 2 * centre * one);
  const first = Math.round(3 * side * (centre ** 2 + side ** 2) * one);
  return {
    inner: (one - 2 * (first + second + third)) | (first << 16),
    outer: second | (third << 16),
  };
}

/**
 * Radius from 1: one box, applied three times.
 *
 * @returns `whole`: neighbours on either side that weigh alike; `pair`: their weight (low 16 bits) and that of the next one
 *   on either side, 15 fractional bits; `fraction`: fractional bits that a 16-bit sample may have
 */
export function wideWeights(radius: number): {
  readonly whole: number;
  readonly pair: number;
  readonly fraction: number;
} {
  const whole = Math.floor(radius);
  const samples = 2 * whole + 1;
  // Even, so that the two outer weights make up the rest exactly.
  const weight = 2 * Math.floor(2 ** 14 / (2 * radius + 1));
  const outer = (2 ** 15 - samples * weight) / 2;
  return {
    whole,
    pair: weight | (outer << 16),
    fraction: Math.floor(Math.log2((2 ** 15 - 1) / (255 * samples))),
  };
}
