/**
 * sRGB bytes as L, a and b of CIELAB with the white of D65 (IEC 61966-2-1, CIE 15).
 *
 * Pixels go through tables of integers, so that they are the same on every machine; a program that needs exact values computes them.
 */

/** Linear light of a level of sRGB, 0..1. */
function linear(level: number): number {
  const share = level / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

/** The cube root, with the straight line that CIELAB has near black. */
function root(t: number): number {
  return t > (6 / 29) ** 3 ? Math.cbrt(t) : t / (3 * (6 / 29) ** 2) + 4 / 29;
}

/** From linear sRGB to X, Y and Z, each a share of the white's: the rows of the standard's matrix over their sums. */
const TO_XYZ = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
].map((row) => row.map((weight) => weight / row.reduce((sum, one) => sum + one, 0))) as [Row, Row, Row];
type Row = [number, number, number];

/** @returns L in 0..100, a and b in about -108..108 */
export function labOf(red: number, green: number, blue: number): [lightness: number, a: number, b: number] {
  const light = [linear(red), linear(green), linear(blue)] as const;
  const [x, y, z] = TO_XYZ.map(([r, g, b]) => root(r * light[0] + g * light[1] + b * light[2])) as Row;
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** Fractional bits of linear light: near black, where the curve is steepest, one step is a quarter of a level of a. */
const LIGHT_BITS = 14;
/** Of the weights of X, Y and Z: their sum is 1, so no product with light reaches 2^31. */
const WEIGHT_BITS = 14;
/** Of a root: 500 times one stays below 2^31. */
const ROOT_BITS = 20;

interface Tables {
  /** Linear light of a level. */
  readonly light: Int32Array;
  /** Root of a share of the white, and the byte of L where the share is Y's. */
  readonly root: Int32Array;
  readonly lightness: Uint8Array;
  readonly weights: readonly [Row, Row, Row];
}

let tables: Tables | undefined;

function makeTables(): Tables {
  const [one, steps] = [1 << WEIGHT_BITS, (1 << LIGHT_BITS) + 1];
  const roots = Float64Array.from({ length: steps }, (_, i) => root(i / (steps - 1)));
  const weights = TO_XYZ.map(([r, , b]): Row => {
    const [red, blue] = [Math.round(r * one), Math.round(b * one)];
    // The sum is 1 exactly, so that greys have no colour.
    return [red, one - red - blue, blue];
  });
  return {
    light: Int32Array.from({ length: 256 }, (_, level) => Math.round((steps - 1) * linear(level))),
    root: Int32Array.from(roots, (value) => Math.round(value * 2 ** ROOT_BITS)),
    lightness: Uint8Array.from(roots, (value) => Math.round(2.55 * (116 * value - 16))),
    weights: weights as [Row, Row, Row],
  };
}

/**
 * Turns RGB into L x 255/100, a + 128 and b + 128, rounded, in place: the bytes of OpenCV's COLOR_RGB2LAB, which rounds through tables of its
 * own. Either may be a level from the other.
 */
export function toLabBytes(pixels: Uint8Array): void {
  const { light, root, lightness, weights } = (tables ??= makeTables());
  const [[xr, xg, xb], [yr, yg, yb], [zr, zg, zb]] = weights;
  const [half, halfRoot] = [1 << (WEIGHT_BITS - 1), 1 << (ROOT_BITS - 1)];
  for (let i = 0; i + 2 < pixels.length; i += 3) {
    const r = light[pixels[i] as number] as number;
    const g = light[pixels[i + 1] as number] as number;
    const b = light[pixels[i + 2] as number] as number;
    const place = (yr * r + yg * g + yb * b + half) >> WEIGHT_BITS;
    const x = root[(xr * r + xg * g + xb * b + half) >> WEIGHT_BITS] as number;
    const y = root[place] as number;
    const z = root[(zr * r + zg * g + zb * b + half) >> WEIGHT_BITS] as number;
    pixels[i] = lightness[place] as number;
    pixels[i + 1] = 128 + ((500 * (x - y) + halfRoot) >> ROOT_BITS);
    pixels[i + 2] = 128 + ((200 * (y - z) + halfRoot) >> ROOT_BITS);
  }
}
