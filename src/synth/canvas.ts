/** A picture in the making: [height, width, 3] in linear light. */
import type { Colour } from './colour.js';

export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly light: Float32Array;
}

export function createCanvas(width: number, height: number): Canvas {
  return { width, height, light: new Float32Array(width * height * 3) };
}

/** Mixes a colour into pixel `i` by `share`. */
export function blend({ light }: Canvas, i: number, red: number, green: number, blue: number, share: number): void {
  const at = 3 * i;
  const [r, g, b] = [light[at] as number, light[at + 1] as number, light[at + 2] as number];
  light[at] = r + (red - r) * share;
  light[at + 1] = g + (green - g) * share;
  light[at + 2] = b + (blue - b) * share;
}

export function blendColour(canvas: Canvas, i: number, colour: Colour, share: number): void {
  blend(canvas, i, colour[0], colour[1], colour[2], share);
}

/** Calls `paint` for the pixels of the square of half side `reach` around a point, row by row. */
export function eachPixel(
  { width, height }: Canvas,
  cx: number,
  cy: number,
  reach: number,
  paint: (x: number, y: number, i: number) => void,
): void {
  const right = Math.min(width - 1, Math.ceil(cx + reach));
  const bottom = Math.min(height - 1, Math.ceil(cy + reach));
  for (let y = Math.max(0, Math.floor(cy - reach)); y <= bottom; y++) {
    for (let x = Math.max(0, Math.floor(cx - reach)); x <= right; x++) paint(x, y, y * width + x);
  }
}
