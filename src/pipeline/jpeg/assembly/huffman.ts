/**
 * Huffman tables (ITU-T T.81, annex C) as the scan looks them up: by the next LOOK_AHEAD bits, or bit length by bit length where a
 * code is longer.
 *
 *   | 2^LOOK_AHEAD entries, u32 | of each length: codes end, first symbol less first code, i32 | 256 symbols |
 *
 * An entry says how many bits a code and the amplitude behind it take, how far on the coefficient lies, and the amplitude, if the look-up
 * has seen all of its bits. If not, it says how long the code is and how many bits its amplitude has. An entry that is UNRESOLVED and no
 * more stands for a code that is longer, or is none.
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

export const UNRESOLVED: u32 = 0x80;

/** Bits of code and amplitude; shifts of 64 bits take the entry itself, of which they use these. */
@inline
export function entryBits(entry: u32): u32 {
  return entry & 0x3f;
}

@inline
export function entrySkip(entry: u32): u32 {
  return (entry >> 8) & 0xff;
}

@inline
export function entryAmplitude(entry: u32): i32 {
  return <i32>entry >> 16;
}

@inline
function resolved(amplitude: i32, skip: u32, bits: u32): u32 {
  return (<u32>amplitude << 16) | (skip << 8) | bits;
}

/** An amplitude by its bits (T.81, F.2.2.1): one that begins with 0 is negative. */
@inline
function amplitudeOf(bits: u32, size: u32): i32 {
  return <i32>bits - (bits >> (size - 1) == 0 ? (1 << size) - 1 : 0);
}

/** Without its amplitude. Of what no sound image of 8 bits has nothing is known, and it is left to libjpeg. */
function entryOf(symbol: u32, length: u32, dc: bool): u32 {
  let skip: u32 = 1;
  let size = symbol;
  if (dc) {
    if (size > MOST_DC_BITS) return UNRESOLVED;
  } else {
    const run = symbol >> 4;
    size = symbol & 15;
    if (size > MOST_AC_BITS || (size == 0 && run != 0 && run != 15)) return UNRESOLVED;
    skip = symbol == 0 ? END_OF_BLOCK : run + 1;
  }
  if (size == 0) return resolved(0, skip, length);
  return (length << 24) | (size << 16) | (skip << 8) | UNRESOLVED | (length + size);
}

/** Entries of all look-ups that begin with a code, from `at` on. */
function fill(at: usize, entry: u32, length: u32): void {
  const spare = LOOK_AHEAD - length;
  const size = (entry >> 16) & 0xff;
  if ((entry & UNRESOLVED) == 0 || size == 0 || size > spare) {
    for (const end = at + <usize>(4 << spare); at < end; at += 4) store<u32>(at, entry);
    return;
  }
  for (let bits: u32 = 0; bits < <u32>(1 << size); bits++) {
    const whole = resolved(amplitudeOf(bits, size), entrySkip(entry), length + size);
    for (const end = at + <usize>(4 << (spare - size)); at < end; at += 4) store<u32>(at, whole);
  }
}

/**
 * @param spec as in a DHT segment: how many codes there are of 1 to 16 bits, then their symbols
 * @returns whether it is a table that libjpeg takes too
 */
export function buildTable(spec: usize, table: usize, dc: bool): bool {
  for (let at = table; at < table + LONG; at += 4) store<u32>(at, UNRESOLVED);
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
      if (length <= LOOK_AHEAD) fill(table + <usize>(code << (LOOK_AHEAD - length + 2)), entryOf(symbol, length, dc), length);
    }
    store<u32>(table + LONG + 8 * length, code << (16 - length));
    code <<= 1;
  }
  return place > 0;
}

/**
 * The entry of the code at the head of `bits`, with its amplitude.
 *
 * @param entry what the look-up gave
 * @returns 0 where the bits are no code, or one of which nothing is known
 */
export function resolve(table: usize, bits: u64, entry: u32, dc: bool): u32 {
  if (entry == UNRESOLVED) {
    entry = longEntry(table, <u32>(bits >> 48), dc);
    if ((entry & UNRESOLVED) == 0) return entry;
    if (entry == UNRESOLVED) return 0;
  }
  const size = (entry >> 16) & 0xff;
  const amplitude = amplitudeOf(<u32>((bits << <u64>(entry >> 24)) >> <u64>(64 - size)), size);
  return resolved(amplitude, entrySkip(entry), entryBits(entry));
}

/** @param next the next 16 bits */
function longEntry(table: usize, next: u32, dc: bool): u32 {
  // A shorter code of which nothing is known.
  if (next < load<u32>(table + LONG + 8 * LOOK_AHEAD)) return UNRESOLVED;
  for (let length: u32 = LOOK_AHEAD + 1; length <= 16; length++) {
    const at = table + LONG + 8 * length;
    if (next < load<u32>(at)) {
      const symbol = load<u8>(table + SYMBOLS + <usize>((next >> (16 - length)) + load<i32>(at, 4)));
      return entryOf(symbol, length, dc);
    }
  }
  return UNRESOLVED;
}
