/** Pillow's GaussianBlur: three box blurs of a fractional radius along each axis (BoxBlur.c). */

/** Radius of the box that, applied three times, has the variance of a Gaussian. */
export function boxRadius(sigma: number): number {
  const variance = (sigma * sigma) / 3;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  return whole + ((2 * whole + 1) * (whole * (whole + 1) - 3 * variance)) / (6 * (variance - (whole + 1) ** 2));
}

/**
 * One of the three boxes.
 *
 * @returns an odd number of weights that sum to 1
 */
export function boxWeights(sigma: number): number[] {
  const radius = boxRadius(sigma);
  const whole = Math.floor(radius);
  const inner = 1 / (2 * radius + 1);
  return Array.from({ length: 2 * whole + 3 }, (_, i) => (i === 0 || i === 2 * whole + 2 ? (radius - whole) * inner : inner));
}
