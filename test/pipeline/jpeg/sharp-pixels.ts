import { decodeImage } from '#dist/pipeline/worker/decode.js';

/** What the pipeline has of an image by sharp: RGB. */
export async function sharpPixels(bytes: Uint8Array): Promise<Buffer> {
  const { data } = await decodeImage(bytes);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
