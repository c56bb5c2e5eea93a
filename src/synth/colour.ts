/** Colours are drawn in OKLCh, where lightness is independent of hue, and mixed in linear light, as light is. */

const { max, min } = Math;

/** Linear-light red, green and blue, 1 = white. */
export type Colour = readonly [red: number, green: number, blue: number];

/**
 * OKLCh to linear sRGB (Ottosson, "A perceptual color space for image processing", 2020), clamped to the gamut.
 *
 * @param lightness 0..1
 * @param chroma 0..0.3; the gamut holds 0.12 at most hues
 * @param hue turns, 0..1
 */
export function oklch(lightness: number, chroma: number, hue: number): Colour {
  const a = chroma * Math.cos(2 * Math.PI * hue);
  const b = chroma * Math.sin(2 * Math.PI * hue);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    clamp(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    clamp(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    clamp(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

export function mix(a: Colour, b: Colour, share: number): Colour {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

const LEVELS = 4096;
const GAMMA = Float32Array.from({ length: LEVELS + 1 }, (_, i) => {
  const linear = i / LEVELS;
  return 255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055);
});

/** Linear light to the sRGB curve, 0..255, not rounded. */
export function encodeGamma(linear: number): number {
  return GAMMA[linear <= 0 ? 0 : linear >= 1 ? LEVELS : (linear * LEVELS) | 0] as number;
}

function clamp(x: number): number {
  return min(1, max(0, x));
}
