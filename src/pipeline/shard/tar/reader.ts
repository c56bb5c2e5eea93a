/**
 * Reads a tar archive member by member while its bytes arrive, as GNU tar 1.34 and Python's tarfile do.
 *
 *   [L | K | x | g headers] [header] [map of a sparse file] [content] [padding]  ...  [empty block] [empty block] [anything]
 *   ^ start               ^ offset                                        ^ end
 */
import { ShardError } from '../shard-error.js';
import { ChunkReader } from './chunks.js';
import { BLOCK_BYTES, isEmptyBlock, parseHeader, type TarHeader } from './header.js';
import { decodeName } from './name.js';
import { otherFormatOf } from './other-format.js';
import { parsePax } from './pax.js';
import { isSparse, joinPieces, readSparseMap, type SparseMap, SparseMapError } from './sparse.js';

export type MemberKind =
  | 'file'
  | 'directory'
  | 'hard link'
  | 'symbolic link'
  | 'sparse file of unknown form'
  | 'special file'
  | 'volume header'
  | 'continued file'
  | 'unknown';

export interface TarMember {
  readonly kind: MemberKind;
  /** The type flag of its header. */
  readonly type: string;
  /** See `decodeName`. */
  readonly name: string;
  /** What a link leads to. */
  readonly target: string;
  /** Byte at which the first of its headers begins; reading can begin here. */
  readonly start: number;
  /** Byte right behind its own header: its content, or what tells where that belongs when it is a sparse file. */
  readonly offset: number;
  /** Bytes of content, with the holes of a sparse file. */
  readonly size: number;
  /** Whether its content is stored as the pieces of a sparse file, and so is not `size` bytes of the archive. */
  readonly sparse: boolean;
  /** Byte at which what is stored of it ends, with its padding. */
  readonly end: number;
}

/** How an archive ends. */
export interface TarEnd {
  /** Length of what was read, counted from the beginning of the archive. */
  readonly bytes: number;
  /** Whether the two empty blocks were there that end an archive. */
  readonly marked: boolean;
  /** Byte behind them from which on there are no members. */
  readonly trailing?: number;
}

const KINDS: Readonly<Record<string, MemberKind>> = {
  0: 'file',
  1: 'hard link',
  2: 'symbolic link',
  3: 'special file',
  4: 'special file',
  5: 'directory',
  6: 'special file',
  7: 'file',
  D: 'directory',
  M: 'continued file',
  S: 'file',
  V: 'volume header',
};
/** What has no content, whatever its size field says: a hard link repeats the size of its target there. */
const BARE = new Set(['1', '2', '3', '4', '5', '6']);
/** Of long names and records; a damaged size field claims more. */
const MAX_EXTENDED_BYTES = 4 << 20;
/** An archive ends with two empty blocks (POSIX.1-2017); a lone one is passed over, as GNU tar does. */
const END_BLOCKS = 2;

export class TarReader {
  readonly #location: string;
  readonly #bytes: ChunkReader;
  /** Bytes of the member at hand that were not taken: content, then padding. */
  #content = 0;
  #padding = 0;
  /** Where in the file they belong, if it is sparse. */
  #map: SparseMap | undefined;
  readonly #global = new Map<string, string>();
  #end: TarEnd | undefined;

  /** @param start byte of the archive at which `chunks` begin: the `start` of a member */
  constructor(location: string, chunks: AsyncIterable<Uint8Array>, start = 0) {
    this.#location = location;
    this.#bytes = new ChunkReader(chunks, start);
  }

  /** Closes the file or the socket. */
  async close(): Promise<void> {
    await this.#bytes.close();
  }

  /** Known once there is no next member. */
  get end(): TarEnd | undefined {
    return this.#end;
  }

  /**
   * The member after the one at hand, of which what was not taken is passed over.
   * @throws ShardError for bytes that are no archive or end within one
   */
  async next(): Promise<TarMember | undefined> {
    await this.#pass(this.#content + this.#padding);
    const start = this.#bytes.at;
    let records: ReadonlyMap<string, string> = this.#global;
    let name: string | undefined;
    let target: string | undefined;
    let empty = 0;
    for (;;) {
      const at = this.#bytes.at;
      const block = await this.#bytes.take(BLOCK_BYTES);
      const ended = empty >= END_BLOCKS;
      if (block.length === 0 && at > 0) {
        // Headers about a member that does not come.
        if (at > start && empty === 0) throw this.#cut();
        return this.#finish({ bytes: at, marked: ended });
      }
      if (block.length === BLOCK_BYTES && isEmptyBlock(block)) {
        empty++;
        continue;
      }
      const header = block.length === BLOCK_BYTES ? parseHeader(block) : undefined;
      if (!header && ended) {
        await this.#bytes.pass(Infinity);
        const zeros = block.every((byte) => byte === 0);
        return this.#finish({ bytes: this.#bytes.at, marked: true, ...(!zeros && { trailing: at }) });
      }
      if (!header) throw this.#noHeader(at, block);
      empty = 0;
      switch (header.type) {
        case 'L':
          name = untilNul(await this.#extended(header, at));
          break;
        case 'K':
          target = untilNul(await this.#extended(header, at));
          break;
        case 'x':
        case 'X':
          records = merged(records, this.#records(await this.#extended(header, at), at));
          break;
        case 'g':
          for (const [key, value] of this.#records(await this.#extended(header, at), at)) this.#global.set(key, value);
          break;
        default:
          return this.#member(header, block, records, {
            name: given(records, 'GNU.sparse.name') ?? given(records, 'path') ?? name ?? header.name,
            target: given(records, 'linkpath') ?? target ?? header.target,
            start,
            offset: at + BLOCK_BYTES,
          });
      }
    }
  }

  /** The content of the member at hand, in memory of its own; to be asked for once. */
  async content(): Promise<Buffer> {
    const stored = this.#content;
    this.#content = 0;
    if (!this.#map) return this.#take(stored);
    const content = Buffer.alloc(this.#map.size);
    for (const { offset, bytes } of this.#map.pieces) await this.#fill(content.subarray(offset, offset + bytes));
    return content;
  }

  async #member(
    header: TarHeader,
    block: Buffer,
    records: ReadonlyMap<string, string>,
    known: Pick<TarMember, 'name' | 'target' | 'start' | 'offset'>,
  ): Promise<TarMember> {
    const { type } = header;
    const said = given(records, 'size');
    const size = BARE.has(type) ? 0 : said === undefined ? header.size : /^\d+$/.test(said) ? Number(said) : Number.NaN;
    const at = known.offset - BLOCK_BYTES;
    if (!Number.isSafeInteger(size)) throw this.#damaged(at, 'its size is no number');
    let kind: MemberKind = KINDS[type] ?? 'unknown';
    this.#map = undefined;
    if (kind === 'file' && isSparse(type, records)) {
      this.#map = await this.#sparseMap({ header: block, records, size }, at);
      if (!this.#map) kind = 'sparse file of unknown form';
    } else if (kind === 'file' && known.name.endsWith('/')) {
      // v7 has no type for directories.
      kind = 'directory';
    }
    this.#content = this.#map?.stored ?? size;
    this.#padding = padding(size);
    const end = this.#bytes.at + this.#content + this.#padding;
    return { kind, type, ...known, size: this.#map?.size ?? size, sparse: this.#map !== undefined, end };
  }

  async #sparseMap(file: Parameters<typeof readSparseMap>[0], at: number): Promise<SparseMap | undefined> {
    const nextBlock = async (): Promise<Buffer> => {
      const block = await this.#bytes.take(BLOCK_BYTES);
      if (block.length < BLOCK_BYTES) throw this.#cut();
      return block;
    };
    try {
      return await readSparseMap(file, nextBlock);
    } catch (error) {
      throw error instanceof SparseMapError ? this.#damaged(at, error.message, error) : error;
    }
  }

  /** The content of a header that is about the next one. */
  async #extended({ size }: TarHeader, at: number): Promise<Buffer> {
    if (!(size <= MAX_EXTENDED_BYTES)) throw this.#damaged(at, `an extended header of ${size} bytes`);
    const content = await this.#take(size);
    await this.#pass(padding(size));
    return content;
  }

  #records(content: Buffer, at: number): [string, string][] {
    try {
      return joinPieces(parsePax(content));
    } catch (error) {
      throw this.#damaged(at, error instanceof Error ? error.message : String(error), error);
    }
  }

  #finish(end: TarEnd): undefined {
    this.#end = end;
    return undefined;
  }

  async #take(bytes: number): Promise<Buffer> {
    const taken = Buffer.allocUnsafeSlow(bytes);
    await this.#fill(taken);
    return taken;
  }

  async #fill(into: Buffer): Promise<void> {
    if ((await this.#bytes.copy(into)) < into.length) throw this.#cut();
  }

  async #pass(bytes: number): Promise<void> {
    this.#content = 0;
    this.#padding = 0;
    if ((await this.#bytes.pass(bytes)) < bytes) throw this.#cut();
  }

  #noHeader(at: number, block: Buffer): ShardError {
    if (at > 0) return block.length < BLOCK_BYTES ? this.#cut() : this.#damaged(at, 'what stands there is no tar header');
    if (block.length === 0) return new ShardError(this.#location, at, 'is empty; expected a tar archive');
    const problem = otherFormatOf(block) ?? 'is not a tar archive; check what the file is (it does not begin with a tar header)';
    return new ShardError(this.#location, at, problem);
  }

  #cut(): ShardError {
    const problem = `ends at byte ${this.#bytes.at} in the middle of the archive; it was cut off, so copy it again`;
    return new ShardError(this.#location, this.#bytes.at, problem);
  }

  #damaged(at: number, reason: string, cause?: unknown): ShardError {
    return new ShardError(this.#location, at, `is damaged at byte ${at}; copy it again (${reason})`, cause);
  }
}

function padding(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function untilNul(content: Buffer): string {
  const end = content.indexOf(0);
  return decodeName(end === -1 ? content : content.subarray(0, end));
}

function merged(under: ReadonlyMap<string, string>, records: readonly [string, string][]): ReadonlyMap<string, string> {
  return new Map([...under, ...records]);
}

/** A record without a value takes back what the header, or the archive's, says. */
function given(records: ReadonlyMap<string, string>, key: string): string | undefined {
  return records.get(key) || undefined;
}
