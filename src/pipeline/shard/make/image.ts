/** What becomes of one image on its way into a shard. */
import sharp from 'sharp';
import { reasonOf } from '../../source/source.js';
import { decodeImage } from '../../worker/decode.js';
import type { ShardMember } from '../write.js';
import type { BadImage } from './set.js';

export interface ImageOptions {
  /** Pixels of the shorter side above which an image is made smaller; untouched without it. */
  readonly resizeShort?: number;
  /** JPEG quality of those that are, 1..100. */
  readonly quality: number;
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
 * @throws if the bytes are not an image or end before the last pixel row
 */
async function prepareImage(bytes: Uint8Array, { resizeShort, quality }: ImageOptions): Promise<PreparedImage> {
  if (bytes.length === 0) throw new Error('the image is empty (0 bytes)');
  if (resizeShort !== undefined) {
    const { width, height } = await sharp(bytes).metadata();
    const short = Math.min(width, height);
    if (short > resizeShort) {
      const side = (pixels: number): number => Math.floor((resizeShort * pixels) / short);
      const data = await sharp(bytes, { failOn: 'truncated', ignoreIcc: true, autoOrient: false })
        .toColourspace('srgb')
        .removeAlpha()
        .resize(side(width), side(height), { fit: 'fill' })
        .jpeg({ quality })
        .toBuffer();
      return { data, extension: 'jpg', resized: true };
    }
  }
  await decodeImage(bytes);
  return { data: bytes, extension: extensionOf(bytes), resized: false };
}

/** By content: names lie (ILSVRC2012 has a PNG called .JPEG). Readers look at the bytes of anything else themselves. */
function extensionOf(bytes: Uint8Array): PreparedImage['extension'] {
  const magic = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  if (magic.startsWith('\x89PNG')) return 'png';
  return magic.startsWith('RIFF') && magic.endsWith('WEBP') ? 'webp' : 'jpg';
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
export async function prepareSample({ read, label, ...place }: SourceImage, options: ImageOptions): Promise<PreparedSample> {
  try {
    const { data, extension, resized } = await prepareImage(await read(), options);
    const image = { name: `${place.key}.${extension}`, data };
    return { members: label === undefined ? [image] : [image, { name: `${place.key}.cls`, data: Buffer.from(String(label)) }], resized };
  } catch (error) {
    return { bad: { ...place, reason: reasonOf(error) }, resized: false };
  }
}
