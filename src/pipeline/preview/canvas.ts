/** RGB pixels to draw on. All that is drawn lies on whole pixels, so that a view on it has the levels that it has in a batch. */
import sharp from 'sharp';
import { drawText } from './font.js';

export type Colour = readonly [red: number, green: number, blue: number];

export const WHITE: Colour = [255, 255, 255];
export const BLACK: Colour = [0, 0, 0];

/** RGB, row after row. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What one picture may hold; beyond it nobody looks at it, and programs that show it fail. */
const MOST_PIXELS = 1 << 28;

export class Canvas implements Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;

  /** @throws RangeError for a picture that nothing could show */
  constructor(width: number, height: number) {
    if (width * height > MOST_PIXELS)
      throw new RangeError(`the picture would have ${width} x ${height} pixels; draw fewer images (--n) or smaller views (--global-size)`);
    this.width = width;
    this.height = height;
    this.data = new Uint8Array(3 * width * height).fill(255);
  }

  area({ left, top, width, height }: Box, colour: Colour): void {
    for (let y = top; y < top + height; y++) for (let x = left; x < left + width; x++) this.#set(x, y, colour);
  }

  /** Every pixel of the picture becomes `zoom` x `zoom`. It lies on the canvas whole. */
  picture(left: number, top: number, { width, height, data }: Pixels, zoom = 1): void {
    const line = new Uint8Array(3 * width * zoom);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width * zoom; x++) {
        const from = 3 * (y * width + Math.floor(x / zoom));
        line.set(data.subarray(from, from + 3), 3 * x);
      }
      for (let i = 0; i < zoom; i++) this.data.set(line, 3 * ((top + y * zoom + i) * this.width + left));
    }
  }

  /** A line of two pixels just inside the box, between black ones: it is seen on any photograph. */
  outline(box: Box, colour: Colour): void {
    this.#frame(inset(box, -1), BLACK);
    this.#frame(inset(box, 2), BLACK);
    this.#frame(box, colour);
    this.#frame(inset(box, 1), colour);
  }

  text(left: number, top: number, text: string, colour: Colour): void {
    drawText(text, (x, y) => this.#set(left + x, top + y, colour));
  }

  async png(): Promise<Uint8Array> {
    const { width, height } = this;
    return new Uint8Array(
      await sharp(this.data, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer(),
    );
  }

  #frame({ left, top, width, height }: Box, colour: Colour): void {
    if (width < 1 || height < 1) return;
    this.area({ left, top, width, height: 1 }, colour);
    this.area({ left, top: top + height - 1, width, height: 1 }, colour);
    this.area({ left, top, width: 1, height }, colour);
    this.area({ left: left + width - 1, top, width: 1, height }, colour);
  }

  #set(x: number, y: number, [red, green, blue]: Colour): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = 3 * (y * this.width + x);
    this.data[at] = red;
    this.data[at + 1] = green;
    this.data[at + 2] = blue;
  }
}

function inset({ left, top, width, height }: Box, by: number): Box {
  return { left: left + by, top: top + by, width: width - 2 * by, height: height - 2 * by };
}
