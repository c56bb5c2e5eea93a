/**
 * One micro-kernel under every forward convolution, input gradient and matrix product:
 * out[4 rows][8 columns] = sum over runs and depth of a[row][depth] * b[depth][8 columns].
 *
 * A convolution in NHWC reads, for one output position, one contiguous run of floats from each filter row, and the same
 * run at a constant distance in every image; so four images make the four rows and padding is a shorter run, never a
 * multiplication by zero. The 4x8 tile is eight accumulators, two columns, one broadcast and one product: it
 * fits the fifteen vector registers that V8 hands out on x64.
 */
import { multiplyAdd } from './arithmetic';

/** Columns of a packed panel. */
export const COLUMNS: usize = 8;
/** Rows (images) of a tile. */
const ROWS: usize = 4;

/**
 * Packs `depth` x `columns` floats into panels of eight columns, [ceil(columns / 8)][panelDepth][8], zeros past the last column.
 * Strides are in bytes. Writing starts at depth 0 of `packed`; `panelDepth` >= depth leaves room for further blocks.
 */
export function packPanels(
  source: usize,
  depth: usize,
  columns: usize,
  depthStride: usize,
  columnStride: usize,
  packed: usize,
  panelDepth: usize,
): void {
  const panelBytes = panelDepth * (COLUMNS * 4);
  for (let column: usize = 0; column < columns; column += COLUMNS) {
    const width = min(COLUMNS, columns - column);
    let from = source + column * columnStride;
    let to = packed + (column / COLUMNS) * panelBytes;
    if (width == COLUMNS && columnStride == 4) {
      for (let d: usize = 0; d < depth; d++) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
        from += depthStride;
        to += COLUMNS * 4;
      }
    } else if (width == COLUMNS && depthStride == 4) {
      packTransposed(from, depth, columnStride, to);
    } else {
      for (let d: usize = 0; d < depth; d++) {
        for (let c: usize = 0; c < COLUMNS; c++) {
          store<f32>(to + c * 4, c < width ? load<f32>(from + c * columnStride) : 0);
        }
        from += depthStride;
        to += COLUMNS * 4;
      }
    }
  }
}

/** Eight rows of `depth` contiguous floats become `depth` rows of eight: 4x4 transpositions in registers. */
function packTransposed(from: usize, depth: usize, rowStride: usize, to: usize): void {
  let d: usize = 0;
  for (; d + 4 <= depth; d += 4) {
    for (let half: usize = 0; half < 2; half++) {
      const row = from + half * 4 * rowStride + d * 4;
      const r0 = v128.load(row);
      const r1 = v128.load(row + rowStride);
      const r2 = v128.load(row + 2 * rowStride);
      const r3 = v128.load(row + 3 * rowStride);
      const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
      const t1 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
      const t2 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      const target = to + d * (COLUMNS * 4) + half * 16;
      v128.store(target, v128.shuffle<f32>(t0, t1, 0, 1, 4, 5));
      v128.store(target, v128.shuffle<f32>(t0, t1, 2, 3, 6, 7), 32);
      v128.store(target, v128.shuffle<f32>(t2, t3, 0, 1, 4, 5), 64);
      v128.store(target, v128.shuffle<f32>(t2, t3, 2, 3, 6, 7), 96);
    }
  }
  for (; d < depth; d++) {
    for (let c: usize = 0; c < COLUMNS; c++) {
      store<f32>(to + d * (COLUMNS * 4) + c * 4, load<f32>(from + c * rowStride + d * 4));
    }
  }
}

/**
 * One tile. `a` is row 0; rows beyond `rows` repeat the last one and are not stored. `runs` runs of `depth` floats
 * are `aRun` bytes apart in a and `bRun` bytes in the panel b. Strides are in bytes.
 *
 * The body is one step, not unrolled, and calls nothing: with more in it V8 (11.3 and later, x64) keeps accumulators on the stack
 * and a step takes half as long again.
 */
function tile(
  a: usize,
  aRow: usize,
  aRun: usize,
  b: usize,
  bRun: usize,
  runs: usize,
  depth: usize,
  out: usize,
  outRow: usize,
  rows: usize,
  accumulate: bool,
): void {
  let a0 = a;
  let a1 = rows > 1 ? a0 + aRow : a0;
  let a2 = rows > 2 ? a1 + aRow : a1;
  let a3 = rows > 3 ? a2 + aRow : a2;
  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s10 = s00;
  let s11 = s00;
  let s20 = s00;
  let s21 = s00;
  let s30 = s00;
  let s31 = s00;
  const end = depth * 4;
  const bSkip = bRun - depth * (COLUMNS * 4);
  for (let run: usize = 0; run < runs; run++) {
    for (let d: usize = 0; d < end; d += 4) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      let x = v128.load_splat<f32>(a0 + d);
      s00 = multiplyAdd(x, b0, s00);
      s01 = multiplyAdd(x, b1, s01);
      x = v128.load_splat<f32>(a1 + d);
      s10 = multiplyAdd(x, b0, s10);
      s11 = multiplyAdd(x, b1, s11);
      x = v128.load_splat<f32>(a2 + d);
      s20 = multiplyAdd(x, b0, s20);
      s21 = multiplyAdd(x, b1, s21);
      x = v128.load_splat<f32>(a3 + d);
      s30 = multiplyAdd(x, b0, s30);
      s31 = multiplyAdd(x, b1, s31);
      b += COLUMNS * 4;
    }
    a0 += aRun;
    a1 += aRun;
    a2 += aRun;
    a3 += aRun;
    b += bSkip;
  }
  if (accumulate) {
    s00 = f32x4.add(s00, v128.load(out));
    s01 = f32x4.add(s01, v128.load(out, 16));
  }
  v128.store(out, s00);
  v128.store(out, s01, 16);
  if (rows < 2) return;
  out += outRow;
  if (accumulate) {
    s10 = f32x4.add(s10, v128.load(out));
    s11 = f32x4.add(s11, v128.load(out, 16));
  }
  v128.store(out, s10);
  v128.store(out, s11, 16);
  if (rows < 3) return;
  out += outRow;
  if (accumulate) {
    s20 = f32x4.add(s20, v128.load(out));
    s21 = f32x4.add(s21, v128.load(out, 16));
  }
  v128.store(out, s20);
  v128.store(out, s21, 16);
  if (rows < 4) return;
  out += outRow;
  if (accumulate) {
    s30 = f32x4.add(s30, v128.load(out));
    s31 = f32x4.add(s31, v128.load(out, 16));
  }
  v128.store(out, s30);
  v128.store(out, s31, 16);
}

/** Adds (or copies) the first `columns` of a whole tile in `edge` to the output. */
function storeEdge(edge: usize, out: usize, outRow: usize, rows: usize, columns: usize, accumulate: bool): void {
  for (let row: usize = 0; row < rows; row++) {
    for (let c: usize = 0; c < columns; c++) {
      const at = out + row * outRow + c * 4;
      const value = load<f32>(edge + (row * COLUMNS + c) * 4);
      store<f32>(at, accumulate ? load<f32>(at) + value : value);
    }
  }
}

/** Bytes of the room for one tile that `convolve` and `multiply` need for the last columns. */
const EDGE: usize = ROWS * COLUMNS * 4;

/**
 * out[N, outH, outW, K] from x [N, H, W, C] and packed filter panels. `rowTable` and `columnTable` hold three i32 for each output
 * position: the first input position, how many, and the first packed tap. `taps` is the number of packed taps in a filter row.
 */
export function convolve(
  x: usize,
  batch: usize,
  height: usize,
  width: usize,
  channels: usize,
  packed: usize,
  filterRows: usize,
  taps: usize,
  rowTable: usize,
  outHeight: usize,
  columnTable: usize,
  outWidth: usize,
  outChannels: usize,
  out: usize,
  edge: usize,
): void {
  const inputRow = width * channels * 4;
  const inputImage = height * inputRow;
  const outPixel = outChannels * 4;
  const outImage = outHeight * outWidth * outPixel;
  const tapBytes = channels * (COLUMNS * 4);
  const filterRow = taps * tapBytes;
  const panel = filterRows * filterRow;
  const lastColumns = outChannels % COLUMNS;
  for (let n: usize = 0; n < batch; n += ROWS) {
    const rows = min(ROWS, batch - n);
    for (let oh: usize = 0; oh < outHeight; oh++) {
      const rowStart = <usize>load<u32>(rowTable + oh * 12);
      const rowCount = <usize>load<u32>(rowTable + oh * 12, 4);
      const rowTap = <usize>load<u32>(rowTable + oh * 12, 8);
      const inputAtRow = x + n * inputImage + rowStart * inputRow;
      const packedAtRow = packed + rowTap * filterRow;
      for (let ow: usize = 0; ow < outWidth; ow++) {
        const columnStart = <usize>load<u32>(columnTable + ow * 12);
        const columnCount = <usize>load<u32>(columnTable + ow * 12, 4);
        const columnTap = <usize>load<u32>(columnTable + ow * 12, 8);
        const a = inputAtRow + columnStart * channels * 4;
        let b = packedAtRow + columnTap * tapBytes;
        let to = out + n * outImage + (oh * outWidth + ow) * outPixel;
        const depth = columnCount * channels;
        const runs = depth > 0 ? rowCount : 0;
        for (let k: usize = 0; k + COLUMNS <= outChannels; k += COLUMNS) {
          tile(a, inputImage, inputRow, b, filterRow, runs, depth, to, outImage, rows, false);
          b += panel;
          to += COLUMNS * 4;
        }
        if (lastColumns > 0) {
          tile(a, inputImage, inputRow, b, filterRow, runs, depth, edge, COLUMNS * 4, rows, false);
          storeEdge(edge, to, outImage, rows, lastColumns, false);
        }
      }
    }
  }
}

/** Depth of a block of a matrix product: a panel of 512 x 8 floats is 16 KiB, half of a usual first-level cache. */
const DEPTH_BLOCK: usize = 512;
/** Columns of a block: 512 x 256 floats are 512 KiB of packed b, inside a usual second-level cache. */
const COLUMN_BLOCK: usize = 256;

/** Bytes of scratch that `multiply` needs. */
export function multiplyScratch(depth: usize, columns: usize): usize {
  const panels = (min(COLUMN_BLOCK, columns) + COLUMNS - 1) / COLUMNS;
  return EDGE + min(DEPTH_BLOCK, depth) * panels * (COLUMNS * 4);
}

/** out [rows, columns] = a [rows, depth] b, b given by its strides in bytes; `scratch` as `multiplyScratch` says. */
export function multiply(
  a: usize,
  rows: usize,
  depth: usize,
  b: usize,
  depthStride: usize,
  columnStride: usize,
  columns: usize,
  out: usize,
  scratch: usize,
): void {
  const aRow = depth * 4;
  const outRow = columns * 4;
  const edge = scratch;
  scratch += EDGE;
  for (let column: usize = 0; column < columns; column += COLUMN_BLOCK) {
    const blockColumns = min(COLUMN_BLOCK, columns - column);
    const lastColumns = blockColumns % COLUMNS;
    for (let d: usize = 0; d < depth; d += DEPTH_BLOCK) {
      const blockDepth = min(DEPTH_BLOCK, depth - d);
      packPanels(b + d * depthStride + column * columnStride, blockDepth, blockColumns, depthStride, columnStride, scratch, blockDepth);
      const panel = blockDepth * (COLUMNS * 4);
      for (let row: usize = 0; row < rows; row += ROWS) {
        const tileRows = min(ROWS, rows - row);
        const from = a + row * aRow + d * 4;
        let to = out + row * outRow + column * 4;
        let packed = scratch;
        for (let c: usize = 0; c + COLUMNS <= blockColumns; c += COLUMNS) {
          tile(from, aRow, 0, packed, 0, 1, blockDepth, to, outRow, tileRows, d > 0);
          packed += panel;
          to += COLUMNS * 4;
        }
        if (lastColumns > 0) {
          tile(from, aRow, 0, packed, 0, 1, blockDepth, edge, COLUMNS * 4, tileRows, false);
          storeEdge(edge, to, outRow, tileRows, lastColumns, d > 0);
        }
      }
    }
  }
}
