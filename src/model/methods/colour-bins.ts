/** The colours that colorization tells apart: bins of a and b that sRGB reaches (Zhang et al. 2016, section 2.2). */
import { labOf } from '../../common/lab.js';

/** Between the centres of bins, in a and in b. */
const GRID = 10;
const LEVELS = 256;

/**
 * The centres (a, b) of the bins that hold a colour of sRGB, by a and then by b: 261 of them, where the authors list 313, with some that no
 * colour falls into.
 *
 * What the cube of all colours covers of the plane, its surface covers: the colours of one (a, b) are a line through it.
 */
export function colourBins(): [a: number, b: number][] {
  const found = new Map<string, [number, number]>();
  const add = (red: number, green: number, blue: number): void => {
    const [, a, b] = labOf(red, green, blue);
    // Not -0, which is another key's number.
    const centre: [number, number] = [GRID * Math.round(a / GRID) + 0, GRID * Math.round(b / GRID) + 0];
    found.set(centre.join(), centre);
  };
  for (const face of [0, LEVELS - 1])
    for (let i = 0; i < LEVELS; i++)
      for (let j = 0; j < LEVELS; j++) {
        add(face, i, j);
        add(i, face, j);
        add(i, j, face);
      }
  return [...found.values()].toSorted(([a, b], [otherA, otherB]) => a - otherA || b - otherB);
}
