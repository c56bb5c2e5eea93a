/** The 512-byte header of a tar member, as v7, ustar (POSIX.1-2017, pax, "ustar Interchange Format") and GNU tar write it. */
import { decodeName } from './name.js';

export const BLOCK_BYTES = 512;

export interface TarHeader {
  /** The type flag, one character; `0` is a file, also where v7 has a NUL. */
  readonly type: string;
  readonly name: string;
  /** What a link leads to. */
  readonly target: string;
  /** Bytes of content; NaN where the field holds no number. */
  readonly size: number;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Whether this is one of the empty blocks that end an archive. */
export function isEmptyBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(ZEROS);
}

/** @returns undefined when the block's checksum is not its own, so that it is no header */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (!hasChecksum(block)) return undefined;
  const type = block[156] === 0 ? '0' : String.fromCharCode(block[156] as number);
  const name = field(block, 0, 100);
  // Where POSIX has the first part of a long name, GNU tar has times.
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? field(block, 345, 155) : ZEROS.subarray(0, 0);
  return {
    type,
    name: decodeName(prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name),
    target: decodeName(field(block, 157, 100)),
    size: parseNumber(block.subarray(124, 136)),
  };
}

/** The sum of the bytes, the checksum's own counted as spaces. Some old writers added up signed bytes, and all readers take that. */
function hasChecksum(block: Buffer): boolean {
  let sum = 8 * 0x20;
  let high = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    if (at >= 148 && at < 156) continue;
    const byte = block[at] as number;
    sum += byte;
    if (byte >= 0x80) high++;
  }
  const said = parseNumber(block.subarray(148, 156));
  return said === sum || said === sum - 0x100 * high;
}

/** Up to the first NUL. */
function field(block: Buffer, start: number, bytes: number): Buffer {
  const end = block.indexOf(0, start);
  return block.subarray(start, end === -1 ? start + bytes : Math.min(end, start + bytes));
}

/**
 * A numeric field: octal digits, or where those do not suffice a big-endian number behind a byte of 0x80.
 * @returns NaN where it is neither
 */
export function parseNumber(bytes: Buffer): number {
  if (bytes[0] === 0x80) return bytes.subarray(1).reduce((value, byte) => value * 0x100 + byte, 0);
  const [, digits] = /^[ \0]*([0-7]*)(?:[ \0]|$)/.exec(bytes.toString('latin1')) ?? [];
  if (digits === undefined) return Number.NaN;
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}
