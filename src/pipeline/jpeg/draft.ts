/**
 * Decoding at 1/2 or 1/4 of the size, as PIL's `Image.draft` has libjpeg do it: the inverse DCT makes fewer samples of a block, each the mean
 * of those it stands for.
 */
import type { JpegHeader } from './header.js';

/** How many times smaller an image is decoded, on either side. */
export type DraftTimes = 1 | 2 | 4;

const BLOCK = 8;

interface Size {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** Part of an image, pixels. */
export interface Window extends Size {
  readonly left: number;
  readonly top: number;
}

/** Of the image that is made: what is left over of a side counts as a pixel. */
export function draftSize({ width, height }: Size, times: DraftTimes): Size {
  return { width: Math.ceil(width / times), height: Math.ceil(height / times) };
}

/** What of a draft shows a part of the image. */
export function draftWindow({ left, top, width, height }: Window, times: DraftTimes): Window {
  const [x, y] = [Math.floor(left / times), Math.floor(top / times)];
  return { left: x, top: y, width: Math.ceil((left + width) / times) - x, height: Math.ceil((top + height) / times) - y };
}

/** One component as it is decoded. */
export interface DraftComponent extends Size {
  /** Samples that the inverse DCT makes of a block, across and down. */
  readonly side: number;
  /** Pixels per sample. */
  readonly expandX: number;
  readonly expandY: number;
}

/**
 * What each component is decoded to. By libjpeg's rule (`jpeg_calc_output_dimensions` of jdmaster.c) one that has fewer samples than the
 * image has pixels, both across and down, gets a larger inverse DCT in place of interpolation.
 */
export function draftComponents({ width, height, components }: JpegHeader, times: DraftTimes): DraftComponent[] {
  const across = Math.max(...components.map((component) => component.across));
  const down = Math.max(...components.map((component) => component.down));
  const least = BLOCK / times;
  return components.map((own) => {
    let side = least;
    while (side < BLOCK && (across * least) % (own.across * side * 2) === 0 && (down * least) % (own.down * side * 2) === 0) side *= 2;
    return {
      side,
      width: Math.ceil((width * own.across * side) / (across * BLOCK)),
      height: Math.ceil((height * own.down * side) / (down * BLOCK)),
      expandX: (across * least) / (own.across * side),
      expandY: (down * least) / (own.down * side),
    };
  });
}
