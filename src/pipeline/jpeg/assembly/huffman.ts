/**
 * Huffman tables (ITU-T T.81, annex C) as the scan looks them up: by the next LOOK_AHEAD bits, or bit length by bit length where a
 * code is longer.
 *
 *   | 2^LOOK_AHEAD entries, u32 | of each length: codes end, first symbol less first code, i32 | 256 symbols |
 *
 * An entry holds all that is to be known of a code: how many bits it and the amplitude behind it take, how far on the coefficient lies,
 * how many bits the amplitude has. 0 stands for a code that is longer, or is none.
 */
export const LOOK_AHEAD: u32 = 10;

const LONG: usize = 4 << <usize>LOOK_AHEAD;
const SYMBOLS: usize = LONG + 17 * 8;

/** Of a table. */
export function tableBytes(): usize {
  return SYMBOLS + 256;
}

/** How far on the end of a block lies: beyond whatever a run may reach. */
export const END_OF_BLOCK: u32 = 128;

/** The most bits that an amplitude of 8-bit samples has. */
const MOST_DC_BITS: u32 = 11;
const MOST_AC_BITS: u32 = 10;

/** Bits of code and amplitude. The upper bits of an entry do no harm to a shift of 64 bits. */
@inline
export function entryBits(entry: u32): u32 {
  return entry & 0xff;
}

@inline
export function entrySkip(entry: u32): u32 {
  return (entry >> 8) & 0xff;
}

@inline
export function amplitudeBits(entry: u32): u32 {
  return (entry >> 16) & 0xff;
}

@inline
export function codeBits(entry: u32): u32 {
  return entry >> 24;
}

/** 0 for what no sound image of 8 bits has, which is left to libjpeg. */
function entryOf(symbol: u32, length: u32, dc: bool): u32 {
  let skip: u32 = 1;
  let size = symbol;
  if (dc) {
    if (size > MOST_DC_BITS) return 0;
  } else {
    const run = symbol >> 4;
    size = symbol & 15;
    if (size > MOST_AC_BITS || (size == 0 && run != 0 && run != 15)) return 0;
    skip = symbol == 0 ? END_OF_BLOCK : run + 1;
  }
  return (length << 24) | (size << 16) | (skip << 8) | (length + size);
}

/**
 * @param spec as in a DHT segment: how many codes there are of 1 to 16 bits, then their symbols
 * @returns whether it is a table that libjpeg takes too
 */
export function buildTable(spec: usize, table: usize, dc: bool): bool {
  memory.fill(table, 0, LONG);
  let symbols = spec + 16;
  let code: u32 = 0;
  let place: i32 = 0;
  for (let length: u32 = 1; length <= 16; length++) {
    const count = <u32>load<u8>(spec + length - 1);
    store<i32>(table + LONG + 8 * length, place - <i32>code, 4);
    if (place + <i32>count > 256 || code + count > <u32>(1 << length) - <u32>(count > 0)) return false;
    for (let i: u32 = 0; i < count; i++, code++, symbols++) {
      const symbol = load<u8>(symbols);
      if (dc && symbol > 15) return false;
      store<u8>(table + SYMBOLS + place++, symbol);
      if (length > LOOK_AHEAD) continue;
      const entry = entryOf(symbol, length, dc);
      const spare = LOOK_AHEAD - length;
      const first = table + <usize>((code << spare) << 2);
      const end = first + <usize>((1 << spare) << 2);
      for (let at = first; at < end; at += 4) store<u32>(at, entry);
    }
    store<u32>(table + LONG + 8 * length, code << (16 - length));
    code <<= 1;
  }
  return place > 0;
}

/**
 * The entry of a code longer than LOOK_AHEAD bits; 0 where the bits are no code, or a shorter one that has no entry.
 *
 * @param next the next 16 bits
 */
export function longEntry(table: usize, next: u32, dc: bool): u32 {
  if (next < load<u32>(table + LONG + 8 * LOOK_AHEAD)) return 0;
  for (let length: u32 = LOOK_AHEAD + 1; length <= 16; length++) {
    const at = table + LONG + 8 * length;
    if (next < load<u32>(at)) {
      const symbol = load<u8>(table + SYMBOLS + <usize>((next >> (16 - length)) + load<i32>(at, 4)));
      return entryOf(symbol, length, dc);
    }
  }
  return 0;
}
