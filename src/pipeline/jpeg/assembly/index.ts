/**
 * The kernels of the JPEG decoder. Memory is the caller's: addresses, sizes and the order of calls are those of `decoder.ts`, and nothing
 * here reads or writes beyond them whatever the encoded bytes are.
 */
export { toRgb } from './colour';
export { setColumns, setComponent, setFrame } from './frame';
export { buildTable, tableBytes } from './huffman';
export { beginScan, decodeRow, readAhead, scanEnded } from './scan';
export { setSums } from './upsample';

/** First address the caller may use. */
export function arenaStart(): usize {
  return __heap_base;
}
