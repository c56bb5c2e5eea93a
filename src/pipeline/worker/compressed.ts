/** Images that stay compressed in their worker because a device can decode them, as far as can be told without decoding. */
import type { Augmenter, LoadedImage } from '../augment/augmenter.js';
import type { SampleStream } from '../augment/parameters.js';
import { MAX_COMPRESSED_BYTES } from '../batch/slots.js';
import { hardwareVerdict } from '../jpeg/hardware.js';
import type { JpegHeader } from '../jpeg/header.js';
import { checkHeader } from './decode.js';

const EOI = 0xd9;
const RST0 = 0xd0;
const RST7 = 0xd7;

/**
 * Everything here depends on the image and the sample alone, so a run that is repeated leaves the same images.
 *
 * @returns undefined if the image is for the worker to decode, which says of a damaged one that it is bad
 * @throws if it has more than `maxPixels`
 */
export async function leaveCompressed(
  image: Uint8Array,
  augmenter: Augmenter,
  stream: SampleStream,
  maxPixels: number,
): Promise<LoadedImage | undefined> {
  if (image.byteLength > MAX_COMPRESSED_BYTES) return undefined;
  const verdict = hardwareVerdict(image);
  if (!verdict.takes || !isComplete(image, verdict.header)) return undefined;
  const { width, height } = verdict.header;
  const { size } = await checkHeader(image, maxPixels);
  if (size.width !== width || size.height !== height) return undefined;
  const left = augmenter.leave(width, height, stream);
  return left && { size, bytes: image.byteLength, compressed: image, render: () => left, unload: () => undefined };
}

/** Whether the scan is followed by the end of the image, and has restart markers only if there should be any. */
function isComplete(image: Uint8Array, { scan, restartInterval }: JpegHeader): boolean {
  for (let at = image.indexOf(0xff, scan); at !== -1; at = image.indexOf(0xff, at + 1)) {
    const marker = image[at + 1];
    const isRestart = marker !== undefined && marker >= RST0 && marker <= RST7 && restartInterval > 0;
    // A zero says that the byte before it is no marker; 0xff before a marker is filling.
    if (marker !== 0 && marker !== 0xff && !isRestart) return marker === EOI;
  }
  return false;
}
