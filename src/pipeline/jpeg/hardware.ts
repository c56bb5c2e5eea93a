/**
 * Which JPEGs the decoders in the hardware of NVIDIA's GPUs take, by header alone, as nvJPEG's documentation has it: baseline, 8 bits, one
 * scan, grey or YCbCr in four samplings. Whatever is odd is refused too: a decoder on the CPU then says what is wrong with it.
 */
import { jpegHeader, markerSegments, type JpegHeader } from './header.js';

export type HardwareSampling = 'grey' | '4:4:4' | '4:2:2' | '4:2:0' | '4:4:0';

/** Nouns and adjectives that can follow a count. */
export type HardwareRefusal =
  | 'not JPEG'
  | 'extended sequential'
  | 'progressive'
  | 'lossless'
  | 'hierarchical'
  | 'arithmetic-coded'
  | 'of four components'
  | 'of several scans'
  | 'RGB'
  | 'of another chroma sampling'
  | 'with an odd header';

export type HardwareVerdict =
  | { readonly takes: true; readonly header: JpegHeader; readonly sampling: HardwareSampling }
  | { readonly takes: false; readonly refusal: HardwareRefusal };

const SOS = 0xda;
/** Start of frame of baseline, the only process that is taken (ITU-T T.81, table B.1). */
const BASELINE = 0xc0;
const PROCESSES: ReadonlyMap<number, HardwareRefusal> = new Map([
  [0xc1, 'extended sequential'],
  [0xc2, 'progressive'],
  [0xc3, 'lossless'],
  [0xc5, 'hierarchical'],
  [0xc6, 'hierarchical'],
  [0xc7, 'hierarchical'],
  [0xc9, 'arithmetic-coded'],
  [0xca, 'arithmetic-coded'],
  [0xcb, 'arithmetic-coded'],
  [0xcd, 'arithmetic-coded'],
  [0xce, 'arithmetic-coded'],
  [0xcf, 'arithmetic-coded'],
]);

/** By the factors of luma, across and down, where both chromas have 1 and 1. */
const SAMPLINGS: ReadonlyMap<string, HardwareSampling> = new Map([
  ['1x1', '4:4:4'],
  ['2x1', '4:2:2'],
  ['2x2', '4:2:0'],
  ['1x2', '4:4:0'],
]);

/** Whether the hardware takes the image, and if not, why. Reads the markers up to the scan; never throws. */
export function hardwareVerdict(bytes: Uint8Array): HardwareVerdict {
  const refusal = refusedFrame(bytes);
  if (refusal !== undefined) return { takes: false, refusal };
  const header = jpegHeader(bytes);
  if (!header) return { takes: false, refusal: 'with an odd header' };
  if (!header.ycc) return { takes: false, refusal: 'RGB' };
  const sampling = samplingOf(header);
  return sampling === undefined ? { takes: false, refusal: 'of another chroma sampling' } : { takes: true, header, sampling };
}

/** What the start of the frame and that of the scan say against it, of which `jpegHeader` gives no reason. */
function refusedFrame(bytes: Uint8Array): HardwareRefusal | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return 'not JPEG';
  let components = 0;
  for (const { marker, segment } of markerSegments(bytes)) {
    const process = PROCESSES.get(marker);
    if (process !== undefined) return process;
    if (marker === BASELINE) components = segment[5] ?? 0;
    if (components === 4) return 'of four components';
    if (marker === SOS) return (segment[0] ?? 0) < components ? 'of several scans' : undefined;
  }
  return 'with an odd header';
}

function samplingOf({ components }: JpegHeader): HardwareSampling | undefined {
  const [luma, ...chromas] = components;
  if (!luma || chromas.length === 0) return luma && 'grey';
  return chromas.every(({ across, down }) => across === 1 && down === 1) ? SAMPLINGS.get(`${luma.across}x${luma.down}`) : undefined;
}
