/**
 * One micro-kernel under every forward convolution, input gradient and matrix product:
 * out[4 rows][8 columns] = sum over runs and depth of a[row][depth] * b[depth][8 columns].
 *
 * A convolution in NHWC reads, for one output position, one contiguous run of floats from each filter row, and the same
 * run at a constant distance in every image; so four images make the four rows and padding is a shorter run, never a
 * multiplication by zero. The 4x8 tile is eight accumulators, two columns, one broadcast and one product: it
 * fits the fifteen vector registers that V8 hands out on x64.
 */

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
  columns: usize,
  accumulate: bool,
): void {
  let a0 = a;
  let a1 = rows > 1 ? a + aRow : a0;
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
  const skip = aRun - depth * 4;
  const bSkip = bRun - depth * (COLUMNS * 4);
  for (let run: usize = 0; run < runs; run++) {
    let left = depth;
    while (left >= 4) {
      let b0 = v128.load(b);
      let b1 = v128.load(b, 16);
      let x = v128.load_splat<f32>(a0);
      s00 = f32x4.add(s00, f32x4.mul(x, b0));
      s01 = f32x4.add(s01, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a1);
      s10 = f32x4.add(s10, f32x4.mul(x, b0));
      s11 = f32x4.add(s11, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a2);
      s20 = f32x4.add(s20, f32x4.mul(x, b0));
      s21 = f32x4.add(s21, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a3);
      s30 = f32x4.add(s30, f32x4.mul(x, b0));
      s31 = f32x4.add(s31, f32x4.mul(x, b1));

      b0 = v128.load(b, 32);
      b1 = v128.load(b, 48);
      x = v128.load_splat<f32>(a0, 4);
      s00 = f32x4.add(s00, f32x4.mul(x, b0));
      s01 = f32x4.add(s01, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a1, 4);
      s10 = f32x4.add(s10, f32x4.mul(x, b0));
      s11 = f32x4.add(s11, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a2, 4);
      s20 = f32x4.add(s20, f32x4.mul(x, b0));
      s21 = f32x4.add(s21, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a3, 4);
      s30 = f32x4.add(s30, f32x4.mul(x, b0));
      s31 = f32x4.add(s31, f32x4.mul(x, b1));

      b0 = v128.load(b, 64);
      b1 = v128.load(b, 80);
      x = v128.load_splat<f32>(a0, 8);
      s00 = f32x4.add(s00, f32x4.mul(x, b0));
      s01 = f32x4.add(s01, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a1, 8);
      s10 = f32x4.add(s10, f32x4.mul(x, b0));
      s11 = f32x4.add(s11, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a2, 8);
      s20 = f32x4.add(s20, f32x4.mul(x, b0));
      s21 = f32x4.add(s21, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a3, 8);
      s30 = f32x4.add(s30, f32x4.mul(x, b0));
      s31 = f32x4.add(s31, f32x4.mul(x, b1));

      b0 = v128.load(b, 96);
      b1 = v128.load(b, 112);
      x = v128.load_splat<f32>(a0, 12);
      s00 = f32x4.add(s00, f32x4.mul(x, b0));
      s01 = f32x4.add(s01, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a1, 12);
      s10 = f32x4.add(s10, f32x4.mul(x, b0));
      s11 = f32x4.add(s11, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a2, 12);
      s20 = f32x4.add(s20, f32x4.mul(x, b0));
      s21 = f32x4.add(s21, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a3, 12);
      s30 = f32x4.add(s30, f32x4.mul(x, b0));
      s31 = f32x4.add(s31, f32x4.mul(x, b1));

      a0 += 16;
      a1 += 16;
      a2 += 16;
      a3 += 16;
      b += 128;
      left -= 4;
    }
    while (left > 0) {
      const b0 = v128.load(b);
      const b1 = v128.load(b, 16);
      let x = v128.load_splat<f32>(a0);
      s00 = f32x4.add(s00, f32x4.mul(x, b0));
      s01 = f32x4.add(s01, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a1);
      s10 = f32x4.add(s10, f32x4.mul(x, b0));
      s11 = f32x4.add(s11, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a2);
      s20 = f32x4.add(s20, f32x4.mul(x, b0));
      s21 = f32x4.add(s21, f32x4.mul(x, b1));
      x = v128.load_splat<f32>(a3);
      s30 = f32x4.add(s30, f32x4.mul(x, b0));
      s31 = f32x4.add(s31, f32x4.mul(x, b1));
      a0 += 4;
      a1 += 4;
      a2 += 4;
      a3 += 4;
      b += 32;
      left -= 1;
    }
    a0 += skip;
    a1 += skip;
    a2 += skip;
    a3 += skip;
    b += bSkip;
  }
  storeRow(out, s00, s01, columns, accumulate);
  if (rows > 1) storeRow(out + outRow, s10, s11, columns, accumulate);
  if (rows > 2) storeRow(out + 2 * outRow, s20, s21, columns, accumulate);
  if (rows > 3) storeRow(out + 3 * outRow, s30, s31, columns, accumulate);
}

function storeRow(out: usize, low: v128, high: v128, columns: usize, accumulate: bool): void {
  if (columns >= COLUMNS) {
    if (accumulate) {
      low = f32x4.add(low, v128.load(out));
      high = f32x4.add(high, v128.load(out, 16));
    }
    v128.store(out, low);
    v128.store(out, high, 16);
  } else {
    storePartial(out, low, high, columns, accumulate);
  }
}

function storePartial(out: usize, low: v128, high: v128, columns: usize, accumulate: bool): void {
  let value = low;
  for (let c: usize = 0; c < columns; c++) {
    if (c == 4) value = high;
    const lane = f32x4.extract_lane(value, 0);
    store<f32>(out + c * 4, accumulate ? lane + load<f32>(out + c * 4) : lane);
    value = v128.shuffle<f32>(value, value, 1, 2, 3, 0);
  }
}

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
): void {
  const inputRow = width * channels * 4;
  const inputImage = height * inputRow;
  const outPixel = outChannels * 4;
  const outImage = outHeight * outWidth * outPixel;
  const tapBytes = channels * (COLUMNS * 4);
  const filterRow = taps * tapBytes;
  const panel = filterRows * filterRow;
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
        for (let k: usize = 0; k < outChannels; k += COLUMNS) {
          tile(
            a,
            inputImage,
            inputRow,
            b,
            filterRow,
            depth > 0 ? rowCount : 0,
            depth,
            to,
            outImage,
            rows,
            outChannels - k,
            false,
          );
          b += panel;
          to += COLUMNS * 4;
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
  return (
    min(DEPTH_BLOCK, depth) * ((min(COLUMN_BLOCK, columns) + COLUMNS - 1) / COLUMNS) * (COLUMNS * 4)
  );
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
  for (let column: usize = 0; column < columns; column += COLUMN_BLOCK) {
    const blockColumns = min(COLUMN_BLOCK, columns - column);
    for (let d: usize = 0; d < depth; d += DEPTH_BLOCK) {
      const blockDepth = min(DEPTH_BLOCK, depth - d);
      packPanels(
        b + d * depthStride + column * columnStride,
        blockDepth,
        blockColumns,
        depthStride,
        columnStride,
        scratch,
        blockDepth,
      );
      const panel = blockDepth * (COLUMNS * 4);
      for (let row: usize = 0; row < rows; row += ROWS) {
        const tileRows = min(ROWS, rows - row);
        const from = a + row * aRow + d * 4;
        let to = out + row * outRow + column * 4;
        let packed = scratch;
        for (let c: usize = 0; c < blockColumns; c += COLUMNS) {
          tile(
            from,
            aRow,
            0,
            packed,
            0,
            1,
            blockDepth,
            to,
            outRow,
            tileRows,
            blockColumns - c,
            d > 0,
          );
          packed += panel;
          to += COLUMNS * 4;
        }
      }
    }
  }
}
