/** What becomes of one image on its way into a shard. */
import sharp, { type Sharp } from 'sharp';
import { bytesToDecode, checkHeader, decodeImage, decodeProblem, openImage } from '../../worker/decode.js';
import type { Claim, DecodeRoom } from '../../worker/decode-room.js';
import type { ShardMember } from '../write.js';
import type { BadImage } from './set.js';

export interface ImageOptions {
  /** Pixels of the shorter side above which an image is made smaller; untouched without it. */
  readonly resizeShort?: number;
  /** JPEG quality of those that are, 1..100. */
  readonly quality: number;
  /** Pixels above which an image is bad. */
  readonly maxPixels?: number;
}

export interface PreparedImage {
  readonly data: Uint8Array;
  /** Extension that says what the bytes are. */
  readonly extension: 'jpg' | 'png' | 'webp';
  readonly resized: boolean;
}

/**
 * Makes an image whose shorter side is above `resizeShort` that small, as torchvision's `Resize(resizeShort)` counts
 * pixels, and keeps the bytes of any other. Either way it has been decoded to its last row. Orientation and profile are
 * dropped with the rest of the metadata, as the pipeline ignores them.
 * @throws if the bytes are not an image, have more than `maxPixels` or end before the last pixel row
 */
async function prepareImage(
  bytes: Uint8Array,
  { resizeShort = Infinity, quality, maxPixels }: ImageOptions,
  claim: Claim,
): Promise<PreparedImage> {
  const limit = maxPixels === undefined ? {} : { maxPixels };
  const header = await checkHeader(bytes, maxPixels);
  await claim.take(bytesToDecode(header));
  const { width, height } = header.size;
  const short = Math.min(width, height);
  if (short <= resizeShort) {
    await decodeImage(bytes, limit);
    return { data: bytes, extension: header.format === 'jpeg' ? 'jpg' : header.format, resized: false };
  }
  const side = (pixels: number): number => Math.floor((resizeShort * pixels) / short);
  const image = header.cmyk ? await decodeCmyk(bytes, limit) : openImage(bytes, maxPixels).toColourspace('srgb').removeAlpha();
  const data = await image.resize(side(width), side(height), { fit: 'fill' }).jpeg({ quality }).toBuffer();
  return { data, extension: 'jpg', resized: true };
}

async function decodeCmyk(bytes: Uint8Array, limit: Pick<ImageOptions, 'maxPixels'>): Promise<Sharp> {
  const { data, width, height } = await decodeImage(bytes, limit);
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** An image of a source, still to be read. */
export interface SourceImage extends Pick<BadImage, 'source' | 'key' | 'offset'> {
  readonly label?: number;
  read(): Promise<Uint8Array>;
}

/** What becomes of it: the members of a sample, or why there are none. */
export interface PreparedSample {
  readonly members?: readonly ShardMember[];
  readonly bad?: BadImage;
  readonly resized: boolean;
}

/** Reads and prepares an image; never fails because of it. */
export async function prepareSample(
  { read, label, ...place }: SourceImage,
  options: ImageOptions,
  room: DecodeRoom,
): Promise<PreparedSample> {
  const claim = room.claim();
  try {
    const { data, extension, resized } = await prepareImage(await read(), options, claim);
    const image = { name: `${place.key}.${extension}`, data };
    return { members: label === undefined ? [image] : [image, { name: `${place.key}.cls`, data: Buffer.from(String(label)) }], resized };
  } catch (error) {
    return { bad: { ...place, reason: decodeProblem(error) }, resized: false };
  } finally {
    claim.give();
  }
}
