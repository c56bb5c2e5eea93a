/**
 * JPEG, PNG or WebP bytes to RGB pixels, as PIL's `Image.open(...).convert('RGB')` sees them: by sharp, which hands an image from thread to
 * thread and back, or, of baseline JPEGs, by the decoder in `../jpeg`, in the thread that asks. The pixels are the same, and sharp alone
 * says what is bad: it gets whatever the other does not take.
 */
import sharp, { type Sharp } from 'sharp';
import type { DecodedImage } from '../augment/augmenter.js';
import { JpegDecoder } from '../jpeg/decoder.js';
import { draftSize, type DraftTimes, draftWindow, type Window } from '../jpeg/draft.js';
import { jpegHeader, type JpegHeader } from '../jpeg/header.js';
import { reasonOf } from '../source/source.js';
import type { Decoder } from './decoders.js';
import { imageHeader, type ImageHeader, MAX_PIXELS, type Size } from './image-header.js';

// One thread an image: the parallelism is over images. Nothing is looked at twice, so nothing is worth caching.
sharp.concurrency(1);
sharp.cache(false);

/** Images in this process that no decoding thread has begun with. */
export const undecodedImages = (): number => sharp.counters().queue;

export interface DecodeOptions {
  /** Default 'sharp', which decodes as many images at once as libuv has threads. */
  readonly decoder?: Decoder;
  /** Pixels above which an image is bad, by its header. Default `MAX_PIXELS`. */
  readonly maxPixels?: number;
  /** How many times smaller a JPEG of this size may be decoded; from 3 on that saves time. Default: it is decoded whole. */
  readonly shrink?: (width: number, height: number) => number;
  /**
   * How many times smaller the decoder in `../jpeg` may decode an image of this size, if it is one for it; `shrink` holds for the others.
   * Default: 1.
   */
  readonly draft?: ((width: number, height: number) => DraftTimes) | undefined;
  /**
   * The parts of an image of this size that are looked at: others need not be made, unless the image is kept for more than that. Default: it
   * is made whole.
   */
  readonly windows?: (width: number, height: number) => readonly Window[];
  /**
   * Waited for before pixels are decoded, with the bytes that this will take at most. Asked for again, in place of those, where a draft was
   * not to be had.
   */
  readonly room?: (bytes: number) => Promise<void>;
}

/** Where an image goes. */
export interface ImageMemory<Image> {
  /** Takes the pixels, or a copy of them. */
  load(image: DecodedImage): Image;
  /** Has `write` make the RGB pixels of an image of `width` x `height`, `times` smaller, in place; undefined if it returns false. */
  fill(width: number, height: number, times: DraftTimes, write: (pixels: Uint8Array) => boolean): Image | undefined;
}

/**
 * Bytes per pixel: three of sharp's result, and three of the copy that is taken of it. The other decoder needs no more: it has three for the
 * pixels, and takes no image whose encoded bytes are more.
 */
const RESULT_BYTES = 6;
/** Bytes per pixel of the whole image where that has to be held: three 16-bit coefficients, or pixels with padding twice. */
const WHOLE_BYTES = 6;

/** A header whose size is known. */
export type CheckedHeader = ImageHeader & { readonly size: Size };

/** As `loadImage`, in memory of its own. */
export function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  return loadImage(bytes, OWN_MEMORY, options);
}

const OWN_MEMORY: ImageMemory<DecodedImage> = {
  load: (image) => image,
  fill(width, height, times, write) {
    const original = { width, height };
    const size = draftSize(original, times);
    const data = new Uint8Array(3 * size.width * size.height);
    if (!write(data)) return undefined;
    return { ...size, data, ...(times > 1 && { original, covers: { width: times * size.width, height: times * size.height } }) };
  },
};

/**
 * EXIF orientation and colour profiles are ignored and alpha is dropped, as torchvision's loader does. One difference from PIL is meant:
 * of 16-bit gray the high byte is taken, as PIL does with 16-bit colour, where PIL makes white of all that is above 255.
 * @throws if the bytes are not an image, have more than `maxPixels` or end before the last pixel row
 */
export async function loadImage<Image>(
  bytes: Uint8Array,
  memory: ImageMemory<Image>,
  { decoder = 'sharp', maxPixels, shrink, draft, windows, room }: DecodeOptions,
): Promise<Image> {
  const header = await checkHeader(bytes, maxPixels);
  const { format, cmyk, size } = header;
  const own = decoder === 'wasm' && format === 'jpeg' ? ownHeader(bytes, size) : undefined;
  const drafted = (own && draft?.(size.width, size.height)) ?? 1;
  if (own && drafted > 1) {
    await room?.(bytesToDraft(size, drafted, bytes.length));
    const image = await decodeHere(bytes, own, drafted, memory, windows);
    if (image) return image;
  }
  const times = shrink && format === 'jpeg' && !cmyk ? shrink(size.width, size.height) : 1;
  await room?.(bytesToDecode(header, times));
  // What could not be drafted cannot be decoded whole here either.
  if (own && drafted === 1 && times === 1) {
    const image = await decodeHere(bytes, own, 1, memory, windows);
    if (image) return image;
  }
  return memory.load(await decodeElsewhere(bytes, header, times, maxPixels));
}

let jpegDecoder: Promise<JpegDecoder> | undefined;

/** Of a JPEG for the decoder in `../jpeg`, as far as its header tells. */
function ownHeader(bytes: Uint8Array, { width, height }: Size): JpegHeader | undefined {
  const header = jpegHeader(bytes);
  return header?.width === width && header.height === height ? header : undefined;
}

/** In this thread; undefined where that is for sharp. */
async function decodeHere<Image>(
  bytes: Uint8Array,
  header: JpegHeader,
  times: DraftTimes,
  memory: ImageMemory<Image>,
  windowsOf: DecodeOptions['windows'],
): Promise<Image | undefined> {
  jpegDecoder ??= JpegDecoder.load();
  const decoder = await jpegDecoder;
  const { width, height } = header;
  const windows = windowsOf?.(width, height).map((window) => draftWindow(window, times));
  return memory.fill(width, height, times, (pixels) => decoder.decode(bytes, header, pixels, { times, windows }));
}

/** By sharp, in threads of libuv and libvips. */
async function decodeElsewhere(bytes: Uint8Array, { cmyk, size }: CheckedHeader, times: number, maxPixels?: number): Promise<DecodedImage> {
  const image = openImage(bytes, maxPixels);
  if (cmyk) return readCmyk(image);
  if (times === 1) return readPixels(image);
  // The whole image and nothing else: sharp has libjpeg decode it smaller only then.
  const smaller = image.resize(Math.floor(size.width / times), Math.floor(size.height / times), { fit: 'fill' });
  return { ...(await readPixels(smaller)), original: size };
}

/** @throws if the bytes are not an image, or one of more pixels */
export async function checkHeader(bytes: Uint8Array, maxPixels = MAX_PIXELS): Promise<CheckedHeader> {
  const header = imageHeader(bytes);
  const { width, height } = header.size ?? (await sharp(bytes, { limitInputPixels: false }).metadata());
  if (width * height > maxPixels) {
    const has = `the image has ${width} x ${height} = ${width * height} pixels, more than maxPixels ${maxPixels}`;
    throw new Error(`${has}; make it smaller, or raise maxPixels (--max-pixels)`);
  }
  return { ...header, size: { width, height } };
}

/** Memory at most, for an image that is decoded `times` smaller. */
export function bytesToDecode({ size: { width, height }, buffered }: CheckedHeader, times = 1): number {
  return RESULT_BYTES * Math.floor(width / times) * Math.floor(height / times) + (buffered ? WHOLE_BYTES * width * height : 0);
}

/** The same for a draft, by the decoder in `../jpeg`: its pixels, and the encoded bytes, of which it takes a copy. */
function bytesToDraft(size: Size, times: DraftTimes, encoded: number): number {
  const { width, height } = draftSize(size, times);
  return 3 * width * height + encoded;
}

/** Without orientation and profile. The limit is a second lock: the decoder may take its size from elsewhere. */
export function openImage(bytes: Uint8Array, maxPixels = MAX_PIXELS): Sharp {
  return sharp(bytes, { failOn: 'truncated', ignoreIcc: true, autoOrient: false, limitInputPixels: maxPixels });
}

/** Why an image could not be decoded, on one line. */
export function decodeProblem(error: unknown): string {
  const reason = reasonOf(error);
  // libvips keeps one error text for the process; when another thread has taken it sharp is left with this.
  if (reason === 'Unknown error') return 'the image cannot be decoded; it is damaged or cut off';
  return reason.trim().replaceAll(/\s*\n\s*/g, '; ');
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

/** By arithmetic, as PIL does; libvips would go by way of a printer's profile, 20 levels from it on average. */
async function readCmyk(image: Sharp): Promise<DecodedImage> {
  const inks = image.pipelineColourspace('cmyk').toColourspace('cmyk').raw({ depth: 'uchar' });
  const { data, info } = await inks.toBuffer({ resolveWithObject: true });
  if (info.channels !== 4) throw new Error(`the image decodes to ${info.channels} channels, expected 4`);
  return { width: info.width, height: info.height, data: cmykToRgb(data) };
}

/** Pillow's `cmyk2rgb` (Convert.c): what is left of the light after black, less the ink's share of it, rounded. */
function cmykToRgb(inks: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((inks.length / 4) * 3);
  for (let from = 0, to = 0; from < inks.length; from += 4) {
    const light = 255 - (inks[from + 3] as number);
    for (let ink = 0; ink < 3; ink++) {
      const product = (inks[from + ink] as number) * light + 128;
      rgb[to++] = light - ((product + (product >> 8)) >> 8);
    }
  }
  return rgb;
}
