/**
 * Baseline JPEGs to RGB in the thread that calls, bit for bit what libjpeg-turbo makes of them with its accurate inverse DCT and its
 * interpolation of chroma. Whatever is not sound to the last bit is left to sharp, which says what is bad.
 *
 *   | Huffman tables | quantisation | strips of samples | rows of pixels | rows of RGB | encoded bytes |
 *
 * A strip holds two rows of MCUs, because interpolation looks a row up and a row down. So memory beyond the encoded bytes grows with an
 * image's width alone.
 */
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

/** Part of an image, pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function whole({ width, height }: JpegHeader): Window {
  return { left: 0, top: 0, width, height };
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
   * @param pixels width * height * 3 bytes, of which any may have been written if the image is not sound
   * @param windows the pixels that are wanted; what is written outside of them means nothing. Default: all
   * @returns whether the image is sound, and one for this decoder
   */
  decode(bytes: Uint8Array, header: JpegHeader, pixels: Uint8Array, windows: readonly Window[] = [whole(header)]): boolean {
    const encoded = bytes.subarray(header.scan);
    if (encoded.length > Math.min(MOST_BYTES, pixels.length + SPARE_BYTES)) return false;
    const layout = this.#prepare(header, encoded.length);
    if (!layout) return false;
    this.#bytes.set(encoded, layout.scan);
    const begun = this.#wasm.beginScan(layout.scan, layout.scan + encoded.length);
    return Boolean(begun) && this.#decodeRows(header, layout, pixels, windows) && Boolean(this.#wasm.scanEnded());
  }

  #decodeRows({ width, height, ycc }: JpegHeader, layout: Layout, pixels: Uint8Array, windows: readonly Window[]): boolean {
    const { rowHeight, rows, context, components, rgb } = layout;
    const stride = 3 * width;
    let done = 0;
    for (let row = 0; row < rows; row++) {
      // Lines next to the row's own look into it.
      const samples = columnsOf(windows, row * rowHeight - 1, (row + 1) * rowHeight + 1);
      for (const [i, { expand, blocks }] of components.entries()) {
        const first = Math.max(0, Math.floor((samples.left / expand - 1) / BLOCK));
        this.#wasm.setColumns(i, first, samples.right === 0 ? 0 : Math.min(blocks, Math.ceil((samples.right / expand + 1) / BLOCK)));
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
  #prepare(header: JpegHeader, scanBytes: number): Layout | undefined {
    const { width, height, components, restartInterval } = header;
    const wasm = this.#wasm;
    const across = Math.max(...components.map((component) => component.across));
    const down = Math.max(...components.map((component) => component.down));
    const mcusAcross = Math.ceil(width / (BLOCK * across));
    const rowHeight = BLOCK * down;
    let end = align(wasm.arenaStart());
    const take = (size: number): number => {
      const address = end;
      end = align(end + size);
      return address;
    };
    const tables = take(2 * components.length * align(wasm.tableBytes()));
    const steps = take(components.length * 128);
    const strips = components.map((component) => {
      const stride = mcusAcross * component.across * BLOCK + 16;
      const rows = 2 * component.down * BLOCK;
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
    for (const [i, { across: own, down: high, quantisation }] of components.entries()) {
      const [strip, codes] = [strips[i], built[i]];
      if (!strip || !codes) return undefined;
      this.#bytes.set(new Uint8Array(quantisation.buffer, quantisation.byteOffset, 128), steps + 128 * i);
      const size = [Math.ceil((width * own) / across), Math.ceil((height * high) / down)] as const;
      const expand = [across / own, down / high] as const;
      wasm.setComponent(
        i,
        own,
        high,
        codes.dc,
        codes.ac,
        steps + 128 * i,
        strip.plane,
        strip.stride,
        strip.rows,
        ...size,
        ...expand,
        strip.line,
      );
      expanded.push({ expand: expand[0], blocks: Math.ceil(size[0] / BLOCK) });
    }
    const context = Number(components.some((component) => component.down * 2 === down));
    return { rowHeight, rows: Math.ceil(height / rowHeight), context, components: expanded, rgb, scan };
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

/** Of the memory, and of the image's rows of MCUs. */
interface Layout {
  /** Pixels. */
  readonly rowHeight: number;
  readonly rows: number;
  /** Lines that wait for the row of MCUs below. */
  readonly context: number;
  /** Pixels of width per sample, and blocks that have any of the image. */
  readonly components: readonly { readonly expand: number; readonly blocks: number }[];
  /** Addresses. */
  readonly rgb: number;
  readonly scan: number;
}
