/**
 * The markers of a JPEG up to its scan (ITU-T T.81, annex B), as far as the decoder goes: sequential, Huffman codes, 8 bits, grey or three
 * components in one scan. Of everything else, and of whatever is odd, nothing is returned: that is libjpeg's to decide.
 */

export interface JpegComponent {
  /** Sampling factors: blocks of an MCU. */
  readonly across: number;
  readonly down: number;
  /** Steps of the 64 coefficients, in natural order. */
  readonly quantisation: Uint16Array;
  /** How many codes there are of 1 to 16 bits, and their symbols. */
  readonly dcCodes: Uint8Array;
  readonly acCodes: Uint8Array;
}

export interface JpegHeader {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly components: readonly JpegComponent[];
  /** Whether three components are luma and two chromas; otherwise they are red, green and blue. */
  readonly ycc: boolean;
  /** MCUs between two restart markers; 0: there are none. */
  readonly restartInterval: number;
  /** Where the entropy-coded bytes begin. */
  readonly scan: number;
}

const SOF0 = 0xc0;
const SOF1 = 0xc1;
const DHT = 0xc4;
const SOI = 0xd8;
const SOS = 0xda;
const DQT = 0xdb;
const DRI = 0xdd;
const APP0 = 0xe0;
const APP1 = 0xe1;
const APP2 = 0xe2;
const APP14 = 0xee;
const APP15 = 0xef;
const COM = 0xfe;

/** libjpeg's limit, of either side. */
const MOST_SIDE = 65_500;
const MOST_BLOCKS = 10;
/** Marks of images with a gain map, of which libvips may make another picture. */
const GAIN_MAP = /^MPF\0|^urn:iso:std:iso:ts:21496|hdrgm/;

const NATURAL_ORDER = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57,
  50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly components: readonly { readonly id: number; readonly across: number; readonly down: number; readonly table: number }[];
}

/** What the segments before the scan have said. */
interface Segments {
  frame?: Frame;
  jfif: boolean;
  /** Transform of the Adobe marker. */
  adobe?: number;
  restartInterval: number;
  readonly quantisation: Map<number, Uint16Array>;
  /** By class and destination. */
  readonly codes: Map<number, Uint8Array>;
}

/** Undefined if the image is not for this decoder. */
export function jpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  const seen: Segments = { jfif: false, restartInterval: 0, quantisation: new Map(), codes: new Map() };
  for (const { marker, segment, end } of markerSegments(bytes)) {
    if (marker === SOS) return scanHeader(seen, segment, end);
    if (!read(seen, marker, segment)) return undefined;
  }
  return undefined;
}

interface MarkerSegment {
  readonly marker: number;
  /** Without its marker and length. */
  readonly segment: Uint8Array;
  /** Where it ends in the file. */
  readonly end: number;
}

/** The segments from the start of a JPEG on, as long as one follows the other; who reads them stops at the scan. */
export function* markerSegments(bytes: Uint8Array): Generator<MarkerSegment, void> {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) return;
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff) return;
    const marker = bytes[at + 1] as number;
    // A marker may be preceded by fill bytes.
    if (marker === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + word(bytes, at + 2);
    if (end < at + 4 || end > bytes.length) return;
    yield { marker, segment: bytes.subarray(at + 4, end), end };
    at = end;
  }
}

/** @returns whether it can go on */
function read(seen: Segments, marker: number, segment: Uint8Array): boolean {
  switch (marker) {
    case SOF0:
    case SOF1: {
      const again = seen.frame !== undefined;
      const frame = frameHeader(segment);
      if (frame) seen.frame = frame;
      return frame !== undefined && !again;
    }
    case DHT:
      return huffmanTables(seen, segment);
    case DQT:
      return quantisationTables(seen, segment);
    case DRI:
      seen.restartInterval = word(segment, 0);
      return segment.length === 2;
    case APP0:
      seen.jfif ||= segment.length >= 14 && text(segment, 5) === 'JFIF\0';
      return true;
    case APP1:
    case APP2:
      return !GAIN_MAP.test(text(segment, segment.length));
    case APP14:
      if (segment.length >= 12 && text(segment, 5) === 'Adobe') seen.adobe = segment[11] as number;
      return true;
    default:
      return (marker > APP2 && marker <= APP15) || marker === COM;
  }
}

function frameHeader(segment: Uint8Array): Frame | undefined {
  const count = segment[5] ?? 0;
  if (segment[0] !== 8 || (count !== 1 && count !== 3) || segment.length !== 6 + 3 * count) return undefined;
  const [height, width] = [word(segment, 1), word(segment, 3)];
  if (Math.min(width, height) === 0 || Math.max(width, height) > MOST_SIDE) return undefined;
  const components = Array.from({ length: count }, (_, i) => {
    const [id = 0, factors = 0, table = 0] = segment.subarray(6 + 3 * i, 9 + 3 * i);
    return { id, across: factors >> 4, down: factors & 15, table };
  });
  if (!isSampled(components)) return undefined;
  // Of one component alone an MCU is one block, whatever its factors.
  return { width, height, components: count === 1 ? components.map((each) => ({ ...each, across: 1, down: 1 })) : components };
}

/** Whether a sample is a whole number of pixels, and a row of MCUs a power of two of samples, for each component. */
function isSampled(components: Frame['components']): boolean {
  const isFactor = (factor: number): boolean => factor === 1 || factor === 2 || factor === 4;
  const blocks = components.reduce((sum, component) => sum + component.across * component.down, 0);
  const ids = new Set(components.map(({ id }) => id));
  return (
    ids.size === components.length && blocks <= MOST_BLOCKS && components.every((each) => isFactor(each.across) && isFactor(each.down))
  );
}

function huffmanTables({ codes }: Segments, segment: Uint8Array): boolean {
  let at = 0;
  while (at + 17 <= segment.length) {
    const destination = segment[at] as number;
    const counts = segment.subarray(at + 1, at + 17);
    const end = at + 17 + counts.reduce((sum, count) => sum + count, 0);
    if (end > segment.length || end - at > 17 + 256 || (destination & 15) > 3 || destination > 0x1f) return false;
    codes.set(destination, segment.subarray(at + 1, end));
    at = end;
  }
  return at === segment.length;
}

function quantisationTables({ quantisation }: Segments, segment: Uint8Array): boolean {
  let at = 0;
  while (at < segment.length) {
    const destination = segment[at++] as number;
    const size = (destination >> 4) + 1;
    if (size > 2 || (destination & 15) > 3 || at + 64 * size > segment.length) return false;
    const steps = new Uint16Array(64);
    for (const [k, place] of NATURAL_ORDER.entries()) {
      steps[place] = size === 1 ? (segment[at + k] as number) : word(segment, at + 2 * k);
    }
    quantisation.set(destination & 15, steps);
    at += 64 * size;
  }
  return true;
}

function scanHeader(seen: Segments, segment: Uint8Array, scan: number): JpegHeader | undefined {
  const { frame, quantisation, codes, restartInterval } = seen;
  const count = frame?.components.length ?? 0;
  if (!frame || segment[0] !== count || segment.length !== 4 + 2 * count) return undefined;
  // All coefficients of all bits: 0, 63, 0.
  if (segment[1 + 2 * count] !== 0 || segment[2 + 2 * count] !== 63 || segment[3 + 2 * count] !== 0) return undefined;
  const ycc = isYcc(seen, frame);
  if (ycc === undefined) return undefined;
  const components: JpegComponent[] = [];
  for (const [i, { id, across, down, table }] of frame.components.entries()) {
    const tables = segment[2 + 2 * i] ?? 0;
    const [steps, dcCodes, acCodes] = [quantisation.get(table), codes.get(tables >> 4), codes.get(0x10 | (tables & 15))];
    if (segment[1 + 2 * i] !== id || !steps || !dcCodes || !acCodes || tables >> 4 > 3 || (tables & 15) > 3) return undefined;
    components.push({ across, down, quantisation: steps, dcCodes, acCodes });
  }
  return { width: frame.width, height: frame.height, components, ycc, restartInterval, scan };
}

/** By libjpeg's rules (`default_decompress_parms`): JFIF before Adobe before the names of the components. Undefined: an unknown transform. */
function isYcc({ jfif, adobe }: Segments, { components }: Frame): boolean | undefined {
  if (components.length === 1 || jfif) return true;
  if (adobe !== undefined) return adobe === 1 ? true : adobe === 0 ? false : undefined;
  return String.fromCodePoint(...components.map(({ id }) => id)) !== 'RGB';
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function text(bytes: Uint8Array, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(length, bytes.length)).toString('latin1');
}
