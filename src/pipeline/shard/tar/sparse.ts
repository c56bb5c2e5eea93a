/**
 * Maps of sparse files (GNU tar manual, "Storing Sparse Files"): where in the file its stored pieces belong. What lies
 * between them is not stored and reads as zeros.
 *
 *   old GNU   type S, in the header and in blocks behind it, which no size counts
 *   PAX 0.0   records GNU.sparse.offset and GNU.sparse.numbytes, once for each piece
 *   PAX 0.1   one record GNU.sparse.map: OFFSET,BYTES,OFFSET,BYTES
 *   PAX 1.0   lines of digits in the first blocks of the content: PIECES OFFSET BYTES OFFSET BYTES
 */
import { BLOCK_BYTES, parseNumber } from './header.js';
import { quoted } from '../../../common/quoted.js';

export interface SparseMap {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes of all pieces, which lie in the archive one behind the other. */
  readonly stored: number;
  /** Ascending, without overlap. */
  readonly pieces: readonly Piece[];
}

interface Piece {
  /** Byte of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** The map contradicts itself or its header. */
export class SparseMapError extends Error {}

/** Takes the next block of the archive. */
type NextBlock = () => Promise<Buffer>;

/** Of one map: some 170,000 pieces. A damaged one goes on for longer. */
const MAX_MAP_BYTES = 4 << 20;
const GNU_MAGIC = 'ustar  \0';
const ENTRY_BYTES = 24;
/** Where the old form has entries, and whether more follow: in the header and in each block behind it. */
const HEADER_MAP = { at: 386, entries: 4, more: 482, size: 483 };
const BLOCK_MAP = { at: 0, entries: 21, more: 504 };
/** What star has in the last bytes of a header, and where it tells that the map goes on (struct star_in_header in tar.h of GNU tar). */
const STAR = { magic: 'tar\0', magicAt: 508, more: 355 };

const OFFSET = 'GNU.sparse.offset';
const BYTES = 'GNU.sparse.numbytes';
const MAP = 'GNU.sparse.map';
const PIECES = 'GNU.sparse.numblocks';

export function isSparse(type: string, records: ReadonlyMap<string, string>): boolean {
  if (type === 'S') return true;
  for (const key of records.keys()) if (key.startsWith('GNU.sparse.')) return true;
  return false;
}

/**
 * The map of a sparse file whose header was read, in any of the four forms.
 * @param size bytes of content by the header
 * @returns undefined for another form, such as star's
 * @throws SparseMapError
 */
export async function readSparseMap(
  { header, records, size }: { readonly header: Buffer; readonly records: ReadonlyMap<string, string>; readonly size: number },
  nextBlock: NextBlock,
): Promise<SparseMap | undefined> {
  if (header[156] === 'S'.charCodeAt(0)) {
    if (header.toString('latin1', 257, 265) !== GNU_MAGIC) {
      await passStarMap(header, nextBlock);
      return undefined;
    }
    const whole = parseNumber(header.subarray(HEADER_MAP.size, HEADER_MAP.size + 12));
    return checkedMap(await readBinary(header, nextBlock), whole, size);
  }
  const [major = '0', minor, map] = ['GNU.sparse.major', 'GNU.sparse.minor', MAP].map((key) => records.get(key));
  if (major === '1' && minor === '0') {
    const { numbers, bytes } = await readLines(nextBlock, size);
    return checkedMap(numbers, wholeNumber(records.get('GNU.sparse.realsize') ?? ''), size - bytes);
  }
  if (major !== '0' || map === undefined) return undefined;
  const numbers = map.split(',').map(wholeNumber);
  const pieces = records.get(PIECES);
  // As GNU tar has it: a map that is shorter than it was to be is good when it accounts for all that is stored.
  if (pieces !== undefined && numbers.length > 2 * wholeNumber(pieces))
    throw new SparseMapError(`the map of a sparse file has ${numbers.length / 2} pieces, and ${PIECES} is ${pieces}`);
  return checkedMap(numbers, wholeNumber(records.get('GNU.sparse.size') ?? ''), size);
}

/** Makes PAX 0.0, the one form that repeats records, PAX 0.1. */
export function joinPieces(records: [key: string, value: string][]): [key: string, value: string][] {
  const isPiece = ([key]: readonly [key: string, value: string]): boolean => key === OFFSET || key === BYTES;
  const pieces = records.filter(isPiece);
  if (pieces.length === 0) return records;
  if (pieces.some(([key], i) => key !== (i % 2 === 0 ? OFFSET : BYTES)))
    throw new SparseMapError(`${OFFSET} and ${BYTES} do not alternate`);
  return [...records.filter((record) => !isPiece(record)), [MAP, pieces.map(([, value]) => value).join(',')]];
}

async function readBinary(header: Buffer, nextBlock: NextBlock): Promise<number[]> {
  const numbers = entriesOf(header, HEADER_MAP);
  for await (const block of blocksBehind(header[HEADER_MAP.more], nextBlock)) numbers.push(...entriesOf(block, BLOCK_MAP));
  return numbers;
}

/** Its entries lie elsewhere in the header, and the blocks behind that are those of the old form. */
async function passStarMap(header: Buffer, nextBlock: NextBlock): Promise<void> {
  if (header.toString('latin1', STAR.magicAt) !== STAR.magic) return;
  for await (const _ of blocksBehind(header[STAR.more], nextBlock));
}

/** The blocks of a map between a header and the content. @param more what the header says: 0 when there are none */
async function* blocksBehind(more: number | undefined, nextBlock: NextBlock): AsyncGenerator<Buffer> {
  for (let bytes = BLOCK_BYTES; more !== 0; bytes += BLOCK_BYTES) {
    if (bytes > MAX_MAP_BYTES) throw tooLong();
    const block = await nextBlock();
    yield block;
    more = block[BLOCK_MAP.more];
  }
}

/** The numbers of the entries up to an empty one. */
function entriesOf(block: Buffer, { at, entries }: { readonly at: number; readonly entries: number }): number[] {
  const numbers: number[] = [];
  for (let entry = at; entry < at + entries * ENTRY_BYTES; entry += ENTRY_BYTES) {
    if (block[entry + 12] === 0) break;
    numbers.push(parseNumber(block.subarray(entry, entry + 12)), parseNumber(block.subarray(entry + 12, entry + 24)));
  }
  return numbers;
}

/** @returns the numbers behind the count of the pieces, and the bytes of content that all of these take */
async function readLines(nextBlock: NextBlock, size: number): Promise<{ readonly numbers: number[]; readonly bytes: number }> {
  const numbers: number[] = [];
  let begun = '';
  for (let bytes = BLOCK_BYTES; bytes <= Math.min(size, MAX_MAP_BYTES); bytes += BLOCK_BYTES) {
    const lines = `${begun}${(await nextBlock()).toString('latin1')}`.split('\n');
    numbers.push(...lines.slice(0, -1).map(wholeNumber));
    const [pieces] = numbers;
    if (pieces !== undefined && numbers.length > 2 * pieces) return { numbers: numbers.slice(1, 1 + 2 * pieces), bytes };
    begun = lines.at(-1) ?? '';
    // The next block goes on with this line: it is the beginning of a number.
    if (begun !== '') wholeNumber(begun);
  }
  throw tooLong();
}

function checkedMap(numbers: readonly number[], size: number, stored: number): SparseMap {
  if (numbers.length % 2 !== 0 || !numbers.every((number) => Number.isSafeInteger(number)))
    throw new SparseMapError('the map of a sparse file is no list of pieces');
  if (!Number.isSafeInteger(size)) throw new SparseMapError('the size of a sparse file is no number');
  const pieces: Piece[] = [];
  let end = 0;
  let sum = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const [offset = 0, bytes = 0] = [numbers[i], numbers[i + 1]];
    if (offset < end || offset + bytes > size)
      throw new SparseMapError(`a sparse file of ${size} bytes has a piece of ${bytes} bytes at ${offset}, behind one that ends at ${end}`);
    pieces.push({ offset, bytes });
    end = offset + bytes;
    sum += bytes;
  }
  if (sum !== stored) throw new SparseMapError(`the pieces of a sparse file have ${sum} bytes, and ${stored} are stored`);
  return { size, stored, pieces };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw new SparseMapError(`a sparse file has ${quoted(text.slice(0, 20))} for a number`);
  return value;
}

function tooLong(): SparseMapError {
  return new SparseMapError('the map of a sparse file does not end');
}
