/** Noise that is a function of place and a salt alone, so pictures need no stored random numbers. */

const { ceil, floor, imul, max, min } = Math;

/** A 32-bit hash of a lattice point (the finaliser of MurmurHash3 over a linear combination). */
export function hash(x: number, y: number, salt: number): number {
  let h = imul(x, 0x27d4eb2f) ^ imul(y, 0x165667b1) ^ salt;
  h = imul(h ^ (h >>> 16), 0x85ebca6b);
  h = imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const TO_SIGNED = 2 / 0xffff_ffff;

/** Smooth value noise in [-1, 1] with a lattice of side 1. */
export function valueNoise(x: number, y: number, salt: number): number {
  const x0 = floor(x);
  const y0 = floor(y);
  const u = ease(x - x0);
  const v = ease(y - y0);
  const top = hash(x0, y0, salt) * (1 - u) + hash(x0 + 1, y0, salt) * u;
  const bottom = hash(x0, y0 + 1, salt) * (1 - u) + hash(x0 + 1, y0 + 1, salt) * u;
  return (top * (1 - v) + bottom * v) * TO_SIGNED - 1;
}

/** Triangular white noise in [-1, 1], deviation 0.41, one number a pixel. */
export function whiteNoise(x: number, y: number, salt: number): number {
  const h = hash(x, y, salt);
  return ((h & 0xffff) + (h >>> 16)) / 0xffff - 1;
}

export interface Fractal {
  /** Lattice side of the first octave, pixels; each octave halves it. */
  readonly cell: number;
  readonly octaves: number;
  /** Amplitude of an octave over that of the one before; 0.5 is pink, as photographs are. */
  readonly gain: number;
  /** Stretch of the lattice along x: 1 is isotropic, more gives streaks (grain, brushed metal, water). */
  readonly stretch: number;
  readonly salt: number;
}

/** Fractal value noise, one number a pixel, row-major, scaled to stay within [-1, 1]. */
export function fractalField(width: number, height: number, { cell, octaves, gain, stretch, salt }: Fractal): Float32Array {
  const field = new Float32Array(width * height);
  let total = 0;
  for (let octave = 0; octave < octaves; octave++) total += gain ** octave;
  for (let octave = 0; octave < octaves; octave++) {
    const side = cell / 2 ** octave;
    addOctave(field, width, height, side * stretch, side, gain ** octave / total, (salt + imul(octave, 0x9e3779b9)) | 0);
  }
  return field;
}

/** Each lattice row is hashed once, the two around a row of pixels are blended once, then read along it. */
function addOctave(
  field: Float32Array,
  width: number,
  height: number,
  sideX: number,
  sideY: number,
  amplitude: number,
  salt: number,
): void {
  const columns = ceil(width / sideX) + 2;
  const cells = new Int32Array(width);
  const weights = new Float32Array(width);
  for (let x = 0; x < width; x++) {
    const at = x / sideX;
    cells[x] = floor(at);
    weights[x] = ease(at - floor(at));
  }
  const line = new Float32Array(columns);
  let above = latticeRow(new Float32Array(columns), 0, amplitude, salt);
  let below = latticeRow(new Float32Array(columns), 1, amplitude, salt);
  for (let y = 0, row = 0; y < height; y++) {
    for (; row < floor(y / sideY); row++) [above, below] = [below, latticeRow(above, row + 2, amplitude, salt)];
    const v = ease(y / sideY - row);
    for (let i = 0; i < columns; i++) line[i] = (above[i] as number) * (1 - v) + (below[i] as number) * v;
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const i = cells[x] as number;
      const left = line[i] as number;
      field[at] = (field[at] as number) + left + (weights[x] as number) * ((line[i + 1] as number) - left);
    }
  }
}

function latticeRow(into: Float32Array, row: number, amplitude: number, salt: number): Float32Array {
  for (let i = 0; i < into.length; i++) into[i] = amplitude * (hash(i, row, salt) * TO_SIGNED - 1);
  return into;
}

function ease(t: number): number {
  return t * t * (3 - 2 * t);
}

/** 0 below `low`, 1 above `high`, smooth between. */
export function smoothstep(low: number, high: number, x: number): number {
  return ease(min(1, max(0, (x - low) / (high - low))));
}
