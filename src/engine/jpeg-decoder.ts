/** What an engine does whose device has decoders for JPEGs. */
import type { Tensor4D } from '@tensorflow/tfjs-core';

/** A baseline JPEG of one scan, grey or YCbCr. */
export interface JpegFile {
  readonly data: Uint8Array;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** A square picture to be cut out of an image, antialiased as Pillow's bilinear resize of a box. */
export interface ImageCut {
  /** Which of the images, from 0. */
  readonly image: number;
  /** The samples that may be used, whole pixels of the image. */
  readonly window: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Position of the picture's corner in the image, and pixels of the image for one of the picture. */
  readonly left: number;
  readonly top: number;
  readonly scaleX: number;
  readonly scaleY: number;
  /** Left to right. */
  readonly mirrored: boolean;
}

/** Images on the device. */
export interface DecodedImages {
  /** Which of the files the device did not decode, from 0: nothing can be cut out of these. */
  readonly refused: readonly number[];
  /**
   * @param size of each picture's side, pixels
   * @returns levels 0..255, float32 [cuts, size, size, 3]
   * @throws RangeError for a cut of an image that is not there or was refused, or beyond its image
   */
  cut(cuts: readonly ImageCut[], size: number): Tensor4D;
  /** Frees the images; pictures that were cut stay. */
  dispose(): void;
}

/** The decoders of a device. */
export interface JpegDecoder {
  /** The files are read before this returns; the device decodes while it computes. */
  decode(files: readonly JpegFile[]): DecodedImages;
}
