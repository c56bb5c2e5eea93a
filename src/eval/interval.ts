/** How far an accuracy over some images may be from that over all images of their kind. */

/** Both ends, [0, 1]. */
export type Interval = readonly [low: number, high: number];

/** Of the normal distribution: 95 % lie within so many standard deviations. */
const Z = 1.959963984540054;

/** The 95 % interval of a share (Wilson 1927): it never leaves [0, 1], and holds for shares near 0 and 1 and for few images too. */
export function wilson(right: number, of: number): Interval {
  const share = right / of;
  const weight = (Z * Z) / of;
  const middle = share + weight / 2;
  const half = Z * Math.sqrt((share * (1 - share)) / of + weight / (4 * of));
  return [Math.max(0, (middle - half) / (1 + weight)), Math.min(1, (middle + half) / (1 + weight))];
}
