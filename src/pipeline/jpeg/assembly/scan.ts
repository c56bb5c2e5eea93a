/**
 * The entropy-coded part of the image: Huffman codes to samples, one row of MCUs at a time.
 *
 * Whatever is not exactly as an encoder leaves it ends with `false`, and libjpeg decides. So bits are read without looking for the end:
 * a block is looked at once it has been read. `readAhead` says by how much one can have gone too far.
 */
import { component, components, mcusAcross, restartInterval } from './frame';
import { END_OF_BLOCK, entryAmplitude, entryBits, entrySkip, LOOK_AHEAD, resolve, UNRESOLVED } from './huffman';
import { flatBlock, inverseDct } from './idct';
import { inverseDct2, inverseDct4 } from './reduced-idct';

/**
 * Bytes after the scan that may be read, at least 238: 64 codes with amplitudes, of 27 bits each at most, make 216; the bits at hand may begin 7
 * bytes before those, and the two words behind them, of which one is loaded early, take 15.
 */
export function readAhead(): i32 {
  return 256;
}

/** Coefficients of a block, i16 in natural order, and a place for what lies behind its end. */
const BLOCK = memory.data(144, 16);

/** Offset in BLOCK of the n-th coefficient in zigzag order, and of the place behind for all that a run can reach beyond. */
const NATURAL = memory.data(192, 16);

const ZIGZAG = memory.data<u8>([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
  12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
  58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
]);

for (let k = 0; k < 192; k++) store<u8>(NATURAL + k, k < 64 ? 2 * load<u8>(ZIGZAG + k) : 128);

/** Encoded bytes that have not been looked at, and their end. */
let next: usize = 0;
let end: usize = 0;
/** Where the bytes of the segment that is read end, without stuffing. */
let segmentEnd: usize = 0;
/** Segments that have begun. */
let segments: i32 = 0;
let mcusLeft: i32 = 0;
// The bit reader between two rows: the next bits, from the highest on; how many there are for certain; the first byte not among them.
let heldBits: u64 = 0;
let heldCount: u64 = 0;
let heldAt: usize = 0;

/** @returns whether the first segment ends with a marker */
export function beginScan(from: usize, to: usize): bool {
  next = from;
  end = to;
  segments = 0;
  return nextSegment();
}

/** Whether the last segment was read to its end, and the image ends behind it. */
export function scanEnded(): bool {
  return segmentDone(heldAt, heldCount) && next + 2 <= end && load<u16>(next) == 0xd9ff;
}

/**
 * Takes the stuffing out of the next segment, in place, and leaves `next` at the marker behind it.
 *
 * @returns whether there is one
 */
function nextSegment(): bool {
  heldAt = next;
  heldBits = 0;
  heldCount = 0;
  mcusLeft = restartInterval;
  segments++;
  for (let i = 0; i < components; i++) component(i).prediction = 0;
  let from = next;
  let to = next;
  while (from < end) {
    if (from + 16 <= end) {
      const bytes = v128.load(from);
      const ones = i8x16.bitmask(i8x16.eq(bytes, i8x16.splat(-1)));
      if (ones == 0) {
        v128.store(to, bytes);
        from += 16;
        to += 16;
        continue;
      }
      // Byte by byte: a vector would write over what has not been read.
      for (const first = from + <usize>ctz(ones); from < first; from++, to++) store<u8>(to, load<u8>(from));
    }
    const byte = load<u8>(from);
    if (byte == 0xff) {
      if (from + 1 == end) return false;
      if (load<u8>(from, 1) != 0) {
        segmentEnd = to;
        next = from;
        return true;
      }
      from++;
    }
    store<u8>(to, byte);
    from++;
    to++;
  }
  return false;
}

/** Whether all bytes were used: what is left of the last one is padding. */
@inline
function segmentDone(at: usize, count: u64): bool {
  return at - <usize>(count >> 3) == segmentEnd;
}

/** Passes over the restart marker with the number that is due. */
function restart(): bool {
  if (next + 2 > end || load<u8>(next, 1) != <u8>(0xd0 + ((segments - 1) & 7))) return false;
  next += 2;
  return nextSegment();
}

/** The next eight bytes, the first one highest. */
@inline
function bigEndian(at: usize): u64 {
  return bswap<u64>(load<u64>(at));
}

@inline
function lookUp(table: usize, bits: u64): u32 {
  return load<u32>(table + ((<usize>(bits >> <u64>(64 - LOOK_AHEAD))) << 2));
}

/**
 * Decodes a row of MCUs into the components' strips.
 *
 * @returns whether it was sound
 */
export function decodeRow(row: i32): bool {
  let bits = heldBits;
  let count = heldCount;
  let at = heldAt;
  // The bytes there, loaded long before they are needed.
  let ahead = bigEndian(at);
  for (let mcu = 0; mcu < mcusAcross; mcu++) {
    if (restartInterval != 0) {
      if (mcusLeft == 0) {
        if (!segmentDone(at, count) || !restart()) return false;
        bits = 0;
        count = 0;
        at = heldAt;
        ahead = bigEndian(at);
      }
      mcusLeft--;
    }
    for (let c = 0; c < components; c++) {
      const own = component(c);
      const acTable = own.acTable;
      const across = own.across;
      const stride = own.stride;
      const blocks = across * own.down;
      const side = own.side;
      const strip = own.plane + (<usize>((row * own.down * side) & (own.rows - 1))) * stride;
      for (let b = 0, column = mcu * across, line: usize = strip; b < blocks; b++) {
        v128.store(BLOCK, i64x2.splat(0));
        v128.store(BLOCK, i64x2.splat(0), 16);
        v128.store(BLOCK, i64x2.splat(0), 32);
        v128.store(BLOCK, i64x2.splat(0), 48);
        v128.store(BLOCK, i64x2.splat(0), 64);
        v128.store(BLOCK, i64x2.splat(0), 80);
        v128.store(BLOCK, i64x2.splat(0), 96);
        v128.store(BLOCK, i64x2.splat(0), 112);

        bits |= ahead >> count;
        at += <usize>((63 - count) >> 3);
        ahead = bigEndian(at);
        count |= 56;
        let entry = lookUp(own.dcTable, bits);
        if (entry & UNRESOLVED) {
          entry = resolve(own.dcTable, bits, entry, true);
          if (entry == 0) return false;
        }
        const dc = own.prediction + entryAmplitude(entry);
        if (<u32>(dc + 2048) > 4095) return false;
        own.prediction = dc;
        store<i16>(BLOCK, <i16>dc);
        bits <<= <u64>entry;
        count -= <u64>entryBits(entry);

        let k: u32 = 0;
        for (;;) {
          // 56 bits are two codes with their amplitudes.
          bits |= ahead >> count;
          at += <usize>((63 - count) >> 3);
          ahead = bigEndian(at);
          count |= 56;
          entry = lookUp(acTable, bits);
          if (entry & UNRESOLVED) {
            entry = resolve(acTable, bits, entry, false);
            if (entry == 0) return false;
          }
          k += entrySkip(entry);
          store<i16>(BLOCK + <usize>load<u8>(NATURAL + k), <i16>entryAmplitude(entry));
          bits <<= <u64>entry;
          count -= <u64>entryBits(entry);
          if (k >= 63) break;

          entry = lookUp(acTable, bits);
          if (entry & UNRESOLVED) {
            entry = resolve(acTable, bits, entry, false);
            if (entry == 0) return false;
          }
          k += entrySkip(entry);
          store<i16>(BLOCK + <usize>load<u8>(NATURAL + k), <i16>entryAmplitude(entry));
          bits <<= <u64>entry;
          count -= <u64>entryBits(entry);
          if (k >= 63) break;
        }
        if (k > 63 && k < END_OF_BLOCK) return false;
        if (at - <usize>(count >> 3) > segmentEnd) return false;

        if (column >= own.firstColumn && column < own.endColumn) {
          const target = line + <usize>(column * side);
          if (k == END_OF_BLOCK) flatBlock(dc, own.quantisation, target, stride, side);
          else if (side == 8) inverseDct(BLOCK, own.quantisation, target, stride);
          else if (side == 4) inverseDct4(BLOCK, own.quantisation, target, stride);
          else inverseDct2(BLOCK, own.quantisation, target, stride);
        }
        if (++column == (mcu + 1) * across) {
          column = mcu * across;
          line += side * stride;
        }
      }
    }
  }
  heldBits = bits;
  heldCount = count;
  heldAt = at;
  return true;
}
