/**
 * The WebAssembly kernels and the memory they work in.
 *
 *   | program | tables | corners | lines | image | spare | sources and resize scratch, as they come |
 *
 * `image` is the one being worked on; operations that cannot work in place write to `spare` and the two change
 * places. A source is a decoded photograph that waits to be cropped.
 *
 * Point operations are collected and run together, in one pass over memory, when something needs the pixels.
 */
import { toLabBytes } from '../../common/lab.js';
import { affineOf, FILL, type GeometricStep } from '../../common/affine.js';
import { boxRadius } from '../../common/box-blur.js';
import { BOX_RADIUS_LIMIT, narrowWeights, wideWeights } from './gaussian.js';
import type { CropPlan, JigsawPlan } from './parameters.js';
import { type Region, Regions } from './regions.js';
import { instantiateKernels, type KernelExports, OPCODE } from './wasm.js';

const PAGE = 65_536;
/** What kernels may read or overwrite after an image, rounded up. */
const SLACK = 256;
const MAX_INSTRUCTIONS = 64;
const PROGRAM_BYTES = MAX_INSTRUCTIONS * 16;
/** Histograms of three channels (u32) and the tables made from them. */
const TABLE_BYTES = 3 * 256 * 4 + 3 * 256;
const PATCHES = 9;
/** Weights have a sign and 13 fractional bits (BLEND_BITS in assembly/lanes.ts). */
const BLEND_ONE = 1 << 13;
/** Pulls blends that are whole numbers in exact arithmetic back over the truncation: 1/128 level. */
const BLEND_BIAS = BLEND_ONE / 128;
/** Red in the low byte. */
const FILL_COLOUR = FILL[0] | (FILL[1] << 8) | (FILL[2] << 16);

const align = (address: number): number => Math.ceil(address / 16) * 16;

/** Weights of an image and of what it is blended with, for a factor below 4; they share 32 bits. */
function blendPair(factor: number): number {
  const image = Math.round(factor * BLEND_ONE);
  return (image & 0xffff) | ((BLEND_ONE - image) << 16);
}

/** High and low byte of a number with BLEND_BITS fractional bits, as two 16-bit words; the low one comes first. */
function halves(number: number): number {
  return (number & 0xff) | ((number >> 8) << 16);
}

/** A photograph in the kernels' memory. */
export interface Source {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly region: Region;
}

/** One working image, and the operations on it. Not shared between threads. */
export class Kernels {
  readonly #wasm: KernelExports;
  readonly #tables: number;
  readonly #program: number;
  readonly #corners: number;
  readonly #lines: number;
  readonly #regions: Regions;
  readonly #capacity: number;
  #scratch: Region;
  #bytes: Uint8Array;
  #words: Int32Array;
  #image: number;
  #spare: number;
  #width = 0;
  #height = 0;
  #pending = 0;

  private constructor(wasm: KernelExports, side: number) {
    this.#wasm = wasm;
    this.#capacity = side;
    const imageBytes = side * side * 3 + SLACK;
    // Two lines of 16-bit samples: a row of RGB or a strip of 16 columns, with room for the repeated edges.
    const lineBytes = 2 * (side * 32 + 4 * (BOX_RADIUS_LIMIT + 2) * 32 + SLACK);
    this.#program = align(wasm.arenaStart());
    this.#tables = align(this.#program + PROGRAM_BYTES);
    this.#corners = align(this.#tables + TABLE_BYTES);
    this.#lines = align(this.#corners + PATCHES * 8);
    this.#image = align(this.#lines + lineBytes);
    this.#spare = align(this.#image + imageBytes);
    this.#bytes = new Uint8Array(wasm.memory.buffer);
    this.#words = new Int32Array(wasm.memory.buffer);
    this.#regions = new Regions(align(this.#spare + imageBytes), (end) => this.#reserve(end));
    this.#scratch = this.#regions.take(1);
  }

  /** @param side the largest side of a working image, pixels */
  static async load(side: number): Promise<Kernels> {
    return new Kernels(await instantiateKernels(), side);
  }

  /** Takes a copy of a photograph, `width` x `height` RGB. */
  load(width: number, height: number, data: Uint8Array): Source {
    const region = this.#regions.take(width * height * 3);
    this.#bytes.set(data, region.address);
    return { width, height, region };
  }

  /**
   * A photograph that `write` makes in place.
   *
   * @param write gets room for `width` x `height` RGB and says whether it was filled; until it returns nothing else is asked of the kernels
   * @returns undefined if it was not
   */
  fill(width: number, height: number, write: (pixels: Uint8Array) => boolean): Source | undefined {
    const bytes = width * height * 3;
    const region = this.#regions.take(bytes);
    let filled = false;
    try {
      filled = write(this.#bytes.subarray(region.address, region.address + bytes));
    } finally {
      if (!filled) this.#regions.give(region);
    }
    return filled ? { width, height, region } : undefined;
  }

  /** Gives the source's memory up. */
  unload(source: Source): void {
    this.#regions.give(source.region);
  }

  /** Makes the working image from a source, mirrored when `flip` is set. */
  crop(source: Source, { window, left, top, scaleX, scaleY, size }: CropPlan, flip: boolean): void {
    this.#resizeTo(size, size);
    const { address, capacity } = source.region;
    const pairs = (scale: number): number => Math.ceil((Math.ceil(2 * Math.max(scale, 1)) + 1) / 2);
    const tables = (size + 3) * (8 + 4 * pairs(scaleX) + 4 * pairs(scaleY));
    this.#growScratch(tables + window.width * 6 + SLACK);
    // Windows at the edges are padded with weights of zero, so rows and pixels past the end are read.
    this.#reserve(address + capacity + Math.max(2 * pairs(scaleY) * source.width * 3, 12 * pairs(scaleX)));
    const right = window.left + window.width;
    const bottom = window.top + window.height;
    const { left: x, top: y } = window;
    this.#wasm.cropResize(
      address,
      source.width,
      x,
      y,
      right,
      bottom,
      left,
      top,
      scaleX,
      scaleY,
      this.#image,
      size,
      Number(flip),
      this.#scratch.address,
    );
  }

  /** Takes a copy of an image as the working image. */
  setImage(width: number, height: number, data: Uint8Array): void {
    this.#resizeTo(width, height);
    this.#bytes.set(data, this.#image);
  }

  /** Copies the working image out. */
  read(out: Uint8Array): void {
    this.#flush();
    out.set(this.#bytes.subarray(this.#image, this.#image + this.#width * this.#height * 3));
  }

  brightness(factor: number): void {
    this.#blendGrey(factor, 0);
  }

  /** The grey is the rounded mean of L of the whole image, so this needs a pass of its own. */
  contrast(factor: number): void {
    this.#push(OPCODE.sumLuma);
    const mean = Math.floor(this.#flush() / (this.#width * this.#height) + 0.5);
    this.#blendGrey(factor, mean);
  }

  saturation(factor: number): void {
    const image = Math.round(factor * BLEND_ONE);
    this.#push(OPCODE.saturation, halves(image), halves(BLEND_ONE - image));
  }

  /** @param shift turn of the hue circle; quantised to 255ths towards zero, as torchvision does */
  hue(shift: number): void {
    this.#push(OPCODE.hue, Math.trunc(shift * 255) & 255);
  }

  grayscale(): void {
    this.#push(OPCODE.greyscale);
  }

  invert(): void {
    this.#push(OPCODE.invert);
  }

  posterize(bits: number): void {
    this.#push(OPCODE.posterize, (0xff << (8 - bits)) & 0xff);
  }

  solarize(threshold: number): void {
    if (threshold < 256) this.#push(OPCODE.solarize, threshold);
  }

  solarizeAdd(add: number, threshold: number): void {
    this.#push(OPCODE.solarizeAdd, add, threshold);
  }

  autoContrast(): void {
    this.#flush();
    this.#wasm.autoContrast(this.#image, this.#width * this.#height, this.#tables);
  }

  equalize(): void {
    this.#flush();
    this.#wasm.equalize(this.#image, this.#width * this.#height, this.#tables);
  }

  lab(): void {
    this.#flush();
    toLabBytes(this.#bytes.subarray(this.#image, this.#image + this.#width * this.#height * 3));
  }

  horizontalFlip(): void {
    this.#flush();
    this.#wasm.mirror(this.#image, this.#width, this.#height);
  }

  /** @param sigma standard deviation, pixels, at most 8 */
  gaussianBlur(sigma: number): void {
    if (sigma <= 0) return;
    this.#flush();
    const radius = boxRadius(sigma);
    if (radius < 1) {
      const { inner, outer } = narrowWeights(radius);
      this.#wasm.narrowBlur(this.#image, this.#spare, this.#width, this.#height, inner, outer, this.#lines);
    } else {
      const { whole, pair, fraction } = wideWeights(radius);
      this.#wasm.wideBlur(this.#image, this.#width, this.#height, whole, pair, fraction, this.#lines);
    }
  }

  sharpness(factor: number): void {
    this.#flush();
    this.#wasm.sharpen(this.#image, this.#spare, this.#width, this.#height, blendPair(factor));
    this.#swap();
  }

  /** What falls outside of the image is filled. */
  transform(step: GeometricStep): void {
    this.#flush();
    this.#wasm.transform(this.#image, this.#spare, this.#width, this.#height, ...affineOf(step, this.#width, this.#height), FILL_COLOUR);
    this.#swap();
  }

  /** Copies the working image out, a square, and then each quarter turn of it, counter-clockwise. */
  readTurns(out: Uint8Array): void {
    const bytes = 3 * this.#width * this.#height;
    for (let at = 0; at < out.length; at += bytes) {
      if (at > 0) {
        // `read` has done what was pending.
        this.#wasm.quarterTurn(this.#image, this.#spare, this.#width);
        this.#swap();
      }
      this.read(out.subarray(at, at + bytes));
    }
  }

  /** Cuts the working image into nine patches, back to back, and copies them out. Point operations still to do see the patches only. */
  cutPatches({ patchSize, cell, order, offsets }: JigsawPlan, out: Uint8Array): void {
    order.forEach((from, i) => {
      const [x, y] = offsets[from] ?? [0, 0];
      this.#words[this.#corners / 4 + 2 * i] = (from % 3) * cell + x;
      this.#words[this.#corners / 4 + 2 * i + 1] = Math.floor(from / 3) * cell + y;
    });
    this.#wasm.cutPatches(this.#image, this.#width, patchSize, this.#corners, order.length, this.#spare);
    this.#swap();
    this.#width = patchSize;
    this.#height = order.length * patchSize;
    this.read(out);
  }

  #blendGrey(factor: number, grey: number): void {
    const image = Math.round(factor * BLEND_ONE);
    const rest = BLEND_ONE - image;
    this.#push(OPCODE.blendGrey, halves(image), ((rest & 0xff) * grey + BLEND_BIAS) | (((rest >> 8) * grey) << 16));
  }

  #push(opcode: number, a = 0, b = 0): void {
    if (this.#pending === MAX_INSTRUCTIONS) this.#flush();
    const at = this.#program / 4 + 4 * this.#pending++;
    this.#words[at] = opcode;
    this.#words[at + 1] = a;
    this.#words[at + 2] = b;
  }

  /** Runs the collected point operations; gives the sum of L if that was among them. */
  #flush(): number {
    if (this.#pending === 0) return 0;
    const instructions = this.#pending;
    this.#pending = 0;
    return this.#wasm.point(this.#image, this.#width * this.#height, this.#program, instructions);
  }

  #swap(): void {
    [this.#image, this.#spare] = [this.#spare, this.#image];
  }

  #resizeTo(width: number, height: number): void {
    if (Math.max(width, height) > this.#capacity) {
      throw new RangeError(`image of ${width} x ${height} pixels: these kernels were loaded for sides up to ${this.#capacity}`);
    }
    this.#width = width;
    this.#height = height;
    this.#pending = 0;
  }

  #growScratch(bytes: number): void {
    if (this.#scratch.capacity >= bytes) return;
    this.#regions.give(this.#scratch);
    this.#scratch = this.#regions.take(bytes);
  }

  #reserve(end: number): void {
    const missing = end + SLACK - this.#bytes.length;
    if (missing <= 0) return;
    this.#wasm.memory.grow(Math.ceil(missing / PAGE));
    this.#bytes = new Uint8Array(this.#wasm.memory.buffer);
    this.#words = new Int32Array(this.#wasm.memory.buffer);
  }
}
