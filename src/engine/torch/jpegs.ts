/** JPEGs decoded by a GPU, and pictures cut out of them by a kernel of native/torch. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { DecodedImages, ImageCut, JpegDecoder, JpegFile } from '../jpeg-decoder.js';
import { ScalarType } from './addon.js';
import type { TorchBackend } from './backend.js';
import { findNvjpeg, NVJPEG_REMEDY } from './nvjpeg.js';
import { productFile, readRecord } from './product.js';
import type { Ref } from './torch.js';

/** Columns of the table of cuts: those of native/torch/src/crop_point.h. */
const CUT_COLUMNS = 11;

/** An image among the pixels of several. */
export interface PlacedImage {
  /** Where it begins, bytes. */
  readonly offset: number;
  readonly width: number;
  readonly height: number;
}

/** @throws Error that says what is missing: a GPU, nvJPEG, or decoders in the GPU */
export function openJpegDecoder(backend: TorchBackend): JpegDecoder {
  const { torch, device } = backend;
  if (device === 'cpu') throw new Error('device cpu has no JPEG decoder: expected an NVIDIA GPU (A100, H100, L4 or newer)');
  const root = readRecord(productFile())?.libtorchRoot;
  const library = root === undefined ? undefined : findNvjpeg(root);
  if (library === undefined) throw new Error(`no libnvjpeg.so is found, by which the GPU decodes JPEGs: ${NVJPEG_REMEDY}`);
  torch.addon.openJpegDecoder(library);
  return { decode: (files) => decodeFiles(backend, files) };
}

function decodeFiles(backend: TorchBackend, files: readonly JpegFile[]): DecodedImages {
  const { torch } = backend;
  const { pixels, refused } = torch.decodeJpegs(files);
  let offset = 0;
  const placed = files.map(({ width, height }): PlacedImage => {
    const at = offset;
    offset += 3 * width * height;
    return { offset: at, width, height };
  });
  const unusable = new Set(refused);
  const images = placed.map((image, i) => (unusable.has(i) ? undefined : image));
  return {
    refused,
    cut: (cuts, size) => cutImages(backend, pixels, images, cuts, size),
    dispose: () => torch.free(pixels),
  };
}

/** @param pixels uint8, RGB of all images back to back */
export function cutImages(
  backend: TorchBackend,
  pixels: Ref,
  images: readonly (PlacedImage | undefined)[],
  cuts: readonly ImageCut[],
  size: number,
): Tensor4D {
  const { torch } = backend;
  const values = new Float64Array(cuts.length * CUT_COLUMNS);
  for (const [n, cut] of cuts.entries()) values.set(rowOf(cut, images[cut.image]), n * CUT_COLUMNS);
  return torch.scope(
    () => {
      const table = torch.upload(values, ScalarType.float64, [cuts.length, CUT_COLUMNS]);
      return backend.tensorOf(torch.run('detco::crop_images', pixels, table, size), 'float32') as Tensor4D;
    },
    () => [],
  );
}

/** What the kernel reads is not checked there. */
function rowOf({ image, window, left, top, scaleX, scaleY, mirrored }: ImageCut, placed: PlacedImage | undefined): number[] {
  if (!placed) throw new RangeError(`a cut of image ${image}, which is not among those that were decoded`);
  const [right, bottom] = [window.left + window.width, window.top + window.height];
  const inside = window.left >= 0 && window.top >= 0 && window.width >= 1 && window.height >= 1;
  if (!inside || right > placed.width || bottom > placed.height)
    throw new RangeError(
      `a cut of ${window.width} x ${window.height} at ${window.left}, ${window.top} reaches beyond its image of ${placed.width} x ${placed.height}`,
    );
  return [placed.offset, placed.width, window.left, window.top, right, bottom, left, top, scaleX, scaleY, Number(mirrored)];
}
