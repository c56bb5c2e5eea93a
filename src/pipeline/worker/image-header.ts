/**
 * What an image is, from its first bytes: its format by content, for names lie (ILSVRC2012 has a PNG called .JPEG), and how large it will
 * be. sharp's own `metadata()` tells the same for a tenth of the cost of decoding.
 */
import { placeholderOf } from '../placeholder.js';

/**
 * Pixels above which an image is bad unless told otherwise: 2^26. The largest cameras without medium format have 61 million. Two workers
 * that decode nothing smaller stay below 2 GB, whatever the format.
 */
export const MAX_PIXELS = 67_108_864;

/** The most that the limit can be: of more, three bytes each are more than a WebAssembly memory holds. */
export const MOST_PIXELS = 2 ** 30;

export interface Size {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

export interface ImageHeader {
  readonly format: 'jpeg' | 'png' | 'webp';
  /** Undefined where the header does not say, or is not a sound one. */
  readonly size?: Size | undefined;
  /** Of a JPEG with four components, cyan, magenta, yellow and black. */
  readonly cmyk: boolean;
  /** Whether a decoder holds the whole image before it has the first row: a progressive JPEG, an interlaced PNG, any WebP. */
  readonly buffered: boolean;
}

/** @throws if the bytes are no JPEG, PNG or WebP, with what they are */
export function imageHeader(bytes: Uint8Array): ImageHeader {
  if (bytes.length === 0) throw new Error('the image is empty (0 bytes)');
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.toString('latin1', 0, 16);
  if (magic.startsWith('\xff\xd8\xff')) return { format: 'jpeg', ...jpegFrame(view) };
  if (magic.startsWith('\x89PNG\r\n\x1a\n')) return { format: 'png', size: pngSize(view), cmyk: false, buffered: view[28] === 1 };
  if (/^RIFF[^]{4}WEBP/.test(magic)) return { format: 'webp', size: webpSize(view), cmyk: false, buffered: true };
  throw new Error(`the image is ${otherFormat(view)}; expected JPEG, PNG or WebP`);
}

/** The frame header (ITU-T T.81, B.2.2). */
function jpegFrame(bytes: Buffer): Omit<ImageHeader, 'format'> {
  const word = (at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  for (let at = 2; at + 9 < bytes.length; at += 2 + word(at + 2)) {
    // A marker may be preceded by fill bytes.
    while (word(at) === 0xffff) at++;
    const marker = word(at);
    if (isFrame(marker)) {
      const size = sound({ height: word(at + 5), width: word(at + 7) });
      return { size, cmyk: bytes[at + 9] === 4, buffered: marker !== BASELINE && marker !== EXTENDED };
    }
    if (marker < 0xffc0 || marker === START_OF_SCAN) break;
  }
  return { cmyk: false, buffered: true };
}

const BASELINE = 0xffc0;
const EXTENDED = 0xffc1;
const START_OF_SCAN = 0xffda;

/** SOF0 to SOF15 without DHT, JPG and DAC, which lie among them. */
function isFrame(marker: number): boolean {
  return marker >= 0xffc0 && marker <= 0xffcf && marker !== 0xffc4 && marker !== 0xffc8 && marker !== 0xffcc;
}

/** The image header comes first (PNG specification, 11.2.1). */
function pngSize(bytes: Buffer): Size | undefined {
  if (bytes.length < 24 || bytes.toString('latin1', 12, 16) !== 'IHDR') return undefined;
  return sound({ width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) });
}

/** By the first chunk (RFC 9649, 2.5 to 2.7): lossy, lossless, or extended, which has a canvas. */
function webpSize(bytes: Buffer): Size | undefined {
  if (bytes.length < 30) return undefined;
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return sound({ width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff });
    case 'VP8L': {
      const sides = bytes.readUInt32LE(21);
      return { width: 1 + (sides & 0x3fff), height: 1 + ((sides >>> 14) & 0x3fff) };
    }
    case 'VP8X':
      return { width: 1 + bytes.readUIntLE(24, 3), height: 1 + bytes.readUIntLE(27, 3) };
    default:
      return undefined;
  }
}

function sound(size: Size): Size | undefined {
  return size.width > 0 && size.height > 0 ? size : undefined;
}

/** What people have under the name of an image. */
const OTHERS: readonly (readonly [start: RegExp, name: string])[] = [
  [/^GIF8/, 'GIF'],
  [/^BM/, 'BMP'],
  [/^(II[*+]|MM.[*+])/s, 'TIFF'],
  [/^[^]{4}ftyp(avif|avis)/, 'AVIF'],
  [/^[^]{4}ftyp(heic|heix|hevc|mif1|msf1)/, 'HEIF'],
  [/^(\xff\n|.{4}JXL )/s, 'JPEG XL'],
  [/^(\xffO\xffQ|.{4}jP {2})/s, 'JPEG 2000'],
  [/^%PDF/, 'PDF'],
  [/^(\xef\xbb\xbf)?\s*<(\?xml[^]*<)?(!--[^]*<)?(!DOCTYPE svg|svg)/i, 'SVG'],
];

function otherFormat(bytes: Buffer): string {
  const start = bytes.toString('latin1', 0, 512);
  const name = OTHERS.find(([pattern]) => pattern.test(start))?.[1] ?? placeholderOf(start)?.name;
  if (name !== undefined) return name;
  return /^[\t\n\r -~]+$/.test(start) ? 'text' : `of an unknown format (it begins with ${bytes.toString('hex', 0, 8)})`;
}
