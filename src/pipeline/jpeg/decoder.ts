/**
 * Baseline JPEGs to RGB in the thread that calls, bit for bit what libjpeg-turbo makes of them with its accurate inverse DCT and its
 * interpolation of chroma. Whatever is not sound to the last bit is left to sharp, which says what is bad.
 *
 *   | Huffman tables | quantisation | strips of samples | rows of pixels | rows of RGB | encoded bytes |
 *
 * A strip holds two rows of MCUs, because interpolation looks a row up and a row down. So memory beyond the encoded bytes grows with an
 * image's width alone.
 */
import { draftComponents, draftSize, type DraftTimes, type Window } from './draft.js';
import type { JpegComponent, JpegHeader } from './header.js';
import { type DecoderExports, instantiateDecoder } from './wasm.js';

const PAGE = 65_536;
const BLOCK = 8;
/** What kernels may read or overwrite behind a row. */
const SLACK = 64;
/** Encoded bytes that there may be, and by how many more they may be than bytes of pixels: memory that a thread keeps. */
const MOST_BYTES = 1 << 24;
const SPARE_BYTES = 65_536;

const align = (bytes: number): number => Math.ceil(bytes / 16) * 16;

/** Whether the decoder has room for this many bytes of an image, whatever size they are decoded to. */
function mayDecode(bytes: number, { width, height }: JpegHeader): boolean {
  return bytes <= Math.min(MOST_BYTES, 3 * width * height + SPARE_BYTES);
}

export interface JpegDecodeOptions {
  /** How many times smaller than it is the image is made. Default 1. */
  readonly times?: DraftTimes;
  /** The pixels that are wanted of what is made; what is written outside of them means nothing. Default: all. */
  readonly windows?: readonly Window[] | undefined;
}

/** Which columns the windows have in some lines, from the first to the last; 0 to 0 if none. */
function columnsOf(windows: readonly Window[], from: number, to: number): { readonly left: number; readonly right: number } {
  const there = windows.filter(({ top, height }) => top < to && top + height > from);
  if (there.length === 0) return { left: 0, right: 0 };
  return { left: Math.min(...there.map(({ left }) => left)), right: Math.max(...there.map(({ left, width }) => left + width)) };
}

/** Not shared between threads. */
export class JpegDecoder {
  readonly #wasm: DecoderExports;
  #bytes: Uint8Array;

  private constructor(wasm: DecoderExports) {
    this.#wasm = wasm;
    this.#bytes = new Uint8Array(wasm.memory.buffer);
  }

  static async load(): Promise<JpegDecoder> {
    return new JpegDecoder(await instantiateDecoder());
  }

  /** What the decoder holds; it never shrinks. */
  get memoryBytes(): number {
    return this.#bytes.length;
  }

  /**
   * @param header of these bytes
   * @param pixels width * height * 3 bytes of the size that is made (`draftSize`), any of which may have been written if the image is not sound
   * @returns whether the image is sound, and one for this decoder; `times` and `windows` make no difference
   */
  decode(bytes: Uint8Array, header: JpegHeader, pixels: Uint8Array, { times = 1, windows }: JpegDecodeOptions = {}): boolean {
    const encoded = bytes.subarray(header.scan);
    if (!mayDecode(encoded.length, header)) return false;
    const layout = this.#prepare(header, times, encoded.length);
    if (!layout) return false;
    this.#bytes.set(encoded, layout.scan);
    const begun = this.#wasm.beginScan(layout.scan, layout.scan + encoded.length);
    const wanted = windows ?? [{ left: 0, top: 0, width: layout.width, height: layout.height }];
    return Boolean(begun) && this.#decodeRows(layout, header.ycc, pixels, wanted) && Boolean(this.#wasm.scanEnded());
  }

  #decodeRows(layout: Layout, ycc: boolean, pixels: Uint8Array, windows: readonly Window[]): boolean {
    const { width, height, rowHeight, rows, context, components, rgb } = layout;
    const stride = 3 * width;
    let done = 0;
    for (let row = 0; row < rows; row++) {
      // Lines next to the row's own look into it.
      const samples = columnsOf(windows, row * rowHeight - 1, (row + 1) * rowHeight + 1);
      for (const [i, { side, expandX, blocks }] of components.entries()) {
        const first = Math.max(0, Math.floor((samples.left / expandX - 1) / side));
        this.#wasm.setColumns(i, first, samples.right === 0 ? 0 : Math.min(blocks, Math.ceil((samples.right / expandX + 1) / side)));
      }
      if (!this.#wasm.decodeRow(row)) return false;
      // The last line waits for the row of MCUs below.
      const end = row === rows - 1 ? height : (row + 1) * rowHeight - context;
      const { left, right } = columnsOf(windows, done, end);
      if (right > 0) {
        this.#wasm.toRgb(done, end, left, right, rgb, width, Number(ycc));
        pixels.set(this.#bytes.subarray(rgb, rgb + (end - done) * stride), done * stride);
      }
      done = end;
    }
    return true;
  }

  /** Lays the memory out and tells the kernels; undefined where a table is none. */
  #prepare(header: JpegHeader, times: DraftTimes, scanBytes: number): Layout | undefined {
    const { components, restartInterval } = header;
    const wasm = this.#wasm;
    const across = Math.max(...components.map((component) => component.across));
    const down = Math.max(...components.map((component) => component.down));
    const mcusAcross = Math.ceil(header.width / (BLOCK * across));
    const { width, height } = draftSize(header, times);
    const rowHeight = (BLOCK / times) * down;
    const drafts = draftComponents(header, times);
    let end = align(wasm.arenaStart());
    const take = (size: number): number => {
      const address = end;
      end = align(end + size);
      return address;
    };
    const tables = take(2 * components.length * align(wasm.tableBytes()));
    const steps = take(components.length * 128);
    const strips = components.map((component, i) => {
      const side = drafts[i]?.side ?? BLOCK;
      const stride = mcusAcross * component.across * side + 16;
      const rows = 2 * component.down * side;
      return { stride, rows, plane: take(stride * rows + SLACK), line: take(width + SLACK) };
    });
    const sums = take(2 * width + SLACK);
    const rgb = take((rowHeight + 1) * width * 3 + SLACK);
    const scan = take(scanBytes + wasm.readAhead());
    this.#reserve(end);

    const built = this.#buildTables(components, tables);
    if (!built) return undefined;
    wasm.setFrame(components.length, mcusAcross, restartInterval);
    wasm.setSums(sums);
    const expanded: Layout['components'][number][] = [];
    for (const [i, component] of components.entries()) {
      const [draft, strip, codes] = [drafts[i], strips[i], built[i]];
      if (!draft || !strip || !codes) return undefined;
      const { quantisation } = component;
      this.#bytes.set(new Uint8Array(quantisation.buffer, quantisation.byteOffset, 128), steps + 128 * i);
      wasm.setComponent(
        i,
        component.across,
        component.down,
        draft.side,
        codes.dc,
        codes.ac,
        steps + 128 * i,
        strip.plane,
        strip.stride,
        strip.rows,
        draft.width,
        draft.height,
        draft.expandX,
        draft.expandY,
        strip.line,
      );
      expanded.push({ side: draft.side, expandX: draft.expandX, blocks: Math.ceil(draft.width / draft.side) });
    }
    const context = Number(drafts.some(({ expandY }) => expandY === 2));
    return { width, height, rowHeight, rows: Math.ceil(height / rowHeight), context, components: expanded, rgb, scan };
  }

  /** Addresses of each component's tables: components with the same codes share theirs. */
  #buildTables(components: readonly JpegComponent[], start: number): { readonly dc: number; readonly ac: number }[] | undefined {
    const size = align(this.#wasm.tableBytes());
    const built = new Map<Uint8Array, number>();
    const build = (codes: Uint8Array, dc: boolean): number | undefined => {
      const known = built.get(codes);
      if (known !== undefined) return known;
      const table = start + built.size * size;
      // Behind all tables, where nothing lies yet.
      const spec = start + 2 * components.length * size;
      this.#bytes.set(codes, spec);
      if (!this.#wasm.buildTable(spec, table, Number(dc))) return undefined;
      built.set(codes, table);
      return table;
    };
    const tables = [];
    for (const { dcCodes, acCodes } of components) {
      const [dc, ac] = [build(dcCodes, true), build(acCodes, false)];
      if (dc === undefined || ac === undefined) return undefined;
      tables.push({ dc, ac });
    }
    return tables;
  }

  #reserve(end: number): void {
    const missing = end - this.#bytes.length;
    if (missing <= 0) return;
    this.#wasm.memory.grow(Math.ceil(missing / PAGE));
    this.#bytes = new Uint8Array(this.#wasm.memory.buffer);
  }
}

/** Of the memory, and of the rows of MCUs of the image that is made. */
interface Layout {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly rowHeight: number;
  readonly rows: number;
  /** Lines that wait for the row of MCUs below. */
  readonly context: number;
  /** Samples of a block and pixels of width per sample, and blocks that have any of the image. */
  readonly components: readonly { readonly side: number; readonly expandX: number; readonly blocks: number }[];
  /** Addresses. */
  readonly rgb: number;
  readonly scan: number;
}
