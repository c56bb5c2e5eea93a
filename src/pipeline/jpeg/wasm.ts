/** The compiled kernels of the decoder, as the host sees them. */
import { readFile } from 'node:fs/promises';

/** What `assembly/index.ts` exports; addresses are byte offsets into `memory`. */
export interface DecoderExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  arenaStart(): number;
  tableBytes(): number;
  buildTable(spec: number, table: number, dc: number): number;
  setFrame(components: number, mcusAcross: number, restartInterval: number): void;
  setComponent(
    index: number,
    across: number,
    down: number,
    side: number,
    dcTable: number,
    acTable: number,
    quantisation: number,
    plane: number,
    stride: number,
    rows: number,
    width: number,
    height: number,
    expandX: number,
    expandY: number,
    line: number,
  ): void;
  setColumns(component: number, first: number, end: number): void;
  setSums(line: number): void;
  readAhead(): number;
  beginScan(from: number, to: number): number;
  decodeRow(row: number): number;
  scanEnded(): number;
  toRgb(from: number, to: number, left: number, right: number, rgb: number, width: number, ycc: number): void;
}

// The compiler's libraries for Node leave WebAssembly out: this is the part used here.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array): Promise<{ readonly instance: { readonly exports: unknown } }>;
};

/** A new instance with a memory of its own. */
export async function instantiateDecoder(): Promise<DecoderExports> {
  const { instance } = await WebAssembly.instantiate(await readFile(new URL('./kernels.wasm', import.meta.url)));
  return instance.exports as DecoderExports;
}
