/** JPEG, PNG or WebP bytes to RGB pixels, as PIL's `Image.open(...).convert('RGB')` sees them. */
import sharp, { type Sharp } from 'sharp';
import type { DecodedImage } from '../augment/augmenter.js';
import { jpegSize } from './jpeg-size.js';

// One thread an image: the parallelism is over images. Nothing is looked at twice, so nothing is worth caching.
sharp.concurrency(1);
sharp.cache(false);

/** Images in this process that no decoding thread has begun with. */
export const undecodedImages = (): number => sharp.counters().queue;

/**
 * EXIF orientation and colour profiles are ignored and alpha is dropped, as torchvision's loader does.
 * @param shrink how many times smaller a JPEG of this size may be decoded; from 3 on that saves time
 * @throws if the bytes are not an image or end before the last pixel row
 */
export async function decodeImage(bytes: Uint8Array, shrink?: (width: number, height: number) => number): Promise<DecodedImage> {
  if (bytes.length === 0) throw new Error('the image is empty (0 bytes)');
  const image = sharp(bytes, { failOn: 'truncated', ignoreIcc: true, autoOrient: false });
  const original = shrink && jpegSize(bytes);
  const times = original ? shrink(original.width, original.height) : 1;
  if (!original || times === 1) return readPixels(image);
  // The whole image and nothing else: sharp has libjpeg decode it smaller only then.
  const smaller = image.resize(Math.floor(original.width / times), Math.floor(original.height / times), { fit: 'fill' });
  return { ...(await readPixels(smaller)), original };
}

async function readPixels(image: Sharp): Promise<DecodedImage> {
  const { data, info } = await image.toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  if (info.channels === 3) return { width: info.width, height: info.height, data };
  if (info.channels === 1) return { width: info.width, height: info.height, data: spread(data) };
  throw new Error(`the image decodes to ${info.channels} channels, expected 1 or 3`);
}

function spread(gray: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(3 * gray.length);
  for (let i = 0; i < gray.length; i++) rgb.fill(gray[i] as number, 3 * i, 3 * i + 3);
  return rgb;
}
