/** A scene -> pixels, in linear light: background, distractors, object; then lamp and lens, relief, and the sensor. */
import { blendColour, createCanvas, eachPixel, type Canvas } from './canvas.js';
import { encodeGamma } from './colour.js';
import { fractalField, smoothstep, whiteNoise } from './noise.js';
import { paintObject } from './object.js';
import type { Distractor, Scene } from './scene.js';

const { abs, exp, hypot, max, min, sqrt } = Math;

/** Whole pixels that are more than half the object's: `x` and `y` of the first, then how many. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] uint8 RGB. */
  readonly data: Uint8Array;
  /** [height, width] the object's share of each pixel, 0..255. */
  readonly mask: Uint8Array;
  /** Extent of the mask. */
  readonly box: Box;
}

export function render(scene: Scene): Picture {
  const { width, height } = scene;
  const canvas = createCanvas(width, height);
  paintBackground(canvas, scene);
  for (const distractor of scene.background.distractors) paintDistractor(canvas, distractor);
  const mask = paintObject(canvas, scene);
  return { width, height, data: develop(canvas, scene), mask, box: boxOf(mask, width, height) };
}

function paintBackground({ width, height, light }: Canvas, { background }: Scene): void {
  const { angle, roughness, fractal, horizon } = background;
  const [[r0, g0, b0], [r1, g1, b1]] = background.colours;
  const noise = fractalField(width, height, fractal);
  const reach = hypot(width, height) / 2;
  const dx = Math.cos(angle) / reach;
  const dy = Math.sin(angle) / reach;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const along = (x - width / 2) * dx + (y - height / 2) * dy;
      const gradient = horizon ? smoothstep(-0.03, 0.03, along + 0.1) * 1.6 - 0.8 : along;
      const mixture = 0.5 + 0.5 * gradient * (1 - 0.5 * roughness) + roughness * (noise[i] as number);
      const share = min(1, max(0, mixture));
      light[3 * i] = r0 + (r1 - r0) * share;
      light[3 * i + 1] = g0 + (g1 - g0) * share;
      light[3 * i + 2] = b0 + (b1 - b0) * share;
    }
  }
}

function paintDistractor(canvas: Canvas, { x: cx, y: cy, halfWidth, halfHeight, angle, round, blur, colour }: Distractor): void {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  eachPixel(canvas, cx, cy, hypot(halfWidth, halfHeight) + blur, (x, y, i) => {
    const u = abs((x - cx) * cos + (y - cy) * sin);
    const v = abs((y - cy) * cos - (x - cx) * sin);
    const distance = round ? (sqrt((u / halfWidth) ** 2 + (v / halfHeight) ** 2) - 1) * halfHeight : max(u - halfWidth, v - halfHeight);
    if (distance < blur) blendColour(canvas, i, colour, 1 - smoothstep(-blur, blur, distance));
  });
}

/** The light over the whole picture, the relief of its surfaces, the sRGB curve and the sensor's noise. */
function develop({ width, height, light: canvas }: Canvas, { light, detail }: Scene): Uint8Array {
  const data = new Uint8Array(canvas.length);
  const relief = fractalField(width, height, detail.fractal);
  const focus = fractalField(width, height, detail.focus);
  const reach = hypot(width, height) / 2;
  const dx = Math.cos(light.azimuth) / reach;
  const dy = Math.sin(light.azimuth) / reach;
  const [red, green, blue] = light.gain;
  // Triangular noise deviates by 0.41.
  const noise = detail.noise / 0.41;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const px = x - width / 2;
      const py = y - height / 2;
      const lamp = 1 - light.falloff * (0.5 - 0.5 * (px * dx + py * dy));
      const lens = 1 - (light.vignette * (px * px + py * py)) / (reach * reach);
      const sharp = max(0.2, 0.7 + 1.4 * (focus[i] as number));
      const level = lamp * lens * exp(detail.grain * sharp * (relief[i] as number));
      const error = noise * whiteNoise(x, y, detail.salt) + 0.5;
      const at = 3 * i;
      data[at] = clampByte(encodeGamma((canvas[at] as number) * red * level) + error);
      data[at + 1] = clampByte(encodeGamma((canvas[at + 1] as number) * green * level) + error);
      data[at + 2] = clampByte(encodeGamma((canvas[at + 2] as number) * blue * level) + error);
    }
  }
  return data;
}

function clampByte(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : value;
}

function boxOf(mask: Uint8Array, width: number, height: number): Box {
  let left = width;
  let top = height;
  let right = -1;
  let bottom = -1;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if ((mask[i] as number) < 128) continue;
      left = min(left, x);
      right = max(right, x);
      top = min(top, y);
      bottom = y;
    }
  }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}
