/**
 * Sums of outer products: the filter gradient of a convolution, and matrix products whose first factor is transposed.
 *
 * Both factors are read where they lie: a step of the reduction takes four neighbouring floats of x (channels) and
 * eight of dy (output channels), so nothing is packed or transposed and the accumulators stay in registers over a whole block.
 */
import { multiplyAdd } from './arithmetic';

/** Adds one 4x8 tile: out[i][j] += sum over three nested loops of x[i] * dy[j]. Strides are in bytes. */
function outerTile(
  x: usize,
  dy: usize,
  count0: usize,
  x0: usize,
  dy0: usize,
  count1: usize,
  x1: usize,
  dy1: usize,
  count2: usize,
  x2: usize,
  dy2: usize,
  out: usize,
  outRow: usize,
  rows: usize,
): void {
  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s10 = s00;
  let s11 = s00;
  let s20 = s00;
  let s21 = s00;
  let s30 = s00;
  let s31 = s00;
  // Rows past the last repeat it: no load outside the tensor.
  const i1: usize = rows > 1 ? 4 : 0;
  const i2: usize = rows > 2 ? 8 : i1;
  const i3: usize = rows > 3 ? 12 : i2;
  for (let l0: usize = 0; l0 < count0; l0++) {
    let xOuter = x;
    let dyOuter = dy;
    for (let l1: usize = 0; l1 < count1; l1++) {
      let a = xOuter;
      let b = dyOuter;
      if (rows > 3) {
        for (let l2: usize = 0; l2 < count2; l2++) {
          const b0 = v128.load(b);
          const b1 = v128.load(b, 16);
          let v = v128.load_splat<f32>(a);
          s00 = multiplyAdd(v, b0, s00);
          s01 = multiplyAdd(v, b1, s01);
          v = v128.load_splat<f32>(a, 4);
          s10 = multiplyAdd(v, b0, s10);
          s11 = multiplyAdd(v, b1, s11);
          v = v128.load_splat<f32>(a, 8);
          s20 = multiplyAdd(v, b0, s20);
          s21 = multiplyAdd(v, b1, s21);
          v = v128.load_splat<f32>(a, 12);
          s30 = multiplyAdd(v, b0, s30);
          s31 = multiplyAdd(v, b1, s31);
          a += x2;
          b += dy2;
        }
      } else {
        for (let l2: usize = 0; l2 < count2; l2++) {
          const b0 = v128.load(b);
          const b1 = v128.load(b, 16);
          let v = v128.load_splat<f32>(a);
          s00 = multiplyAdd(v, b0, s00);
          s01 = multiplyAdd(v, b1, s01);
          v = v128.load_splat<f32>(a + i1);
          s10 = multiplyAdd(v, b0, s10);
          s11 = multiplyAdd(v, b1, s11);
          v = v128.load_splat<f32>(a + i2);
          s20 = multiplyAdd(v, b0, s20);
          s21 = multiplyAdd(v, b1, s21);
          a += x2;
          b += dy2;
        }
      }
      xOuter += x1;
      dyOuter += dy1;
    }
    x += x0;
    dy += dy0;
  }
  addRow(out, s00, s01);
  if (rows > 1) addRow(out + outRow, s10, s11);
  if (rows > 2) addRow(out + 2 * outRow, s20, s21);
  if (rows > 3) addRow(out + 3 * outRow, s30, s31);
}

function addRow(out: usize, low: v128, high: v128): void {
  v128.store(out, f32x4.add(v128.load(out), low));
  v128.store(out, f32x4.add(v128.load(out, 16), high), 16);
}

/** The last columns of dy when their number is not a multiple of eight, one at a time. */
function outerColumn(
  x: usize,
  dy: usize,
  count0: usize,
  x0: usize,
  dy0: usize,
  count1: usize,
  x1: usize,
  dy1: usize,
  count2: usize,
  x2: usize,
  dy2: usize,
  out: usize,
): void {
  let sum: f32 = 0;
  for (let l0: usize = 0; l0 < count0; l0++) {
    for (let l1: usize = 0; l1 < count1; l1++) {
      let a = x + l0 * x0 + l1 * x1;
      let b = dy + l0 * dy0 + l1 * dy1;
      for (let l2: usize = 0; l2 < count2; l2++) {
        sum += load<f32>(a) * load<f32>(b);
        a += x2;
        b += dy2;
      }
    }
  }
  store<f32>(out, load<f32>(out) + sum);
}

/** out [rows, columns] += over the reduction, in tiles of 4 x 8 (single columns at the end). */
function outer(
  x: usize,
  rows: usize,
  dy: usize,
  columns: usize,
  count0: usize,
  x0: usize,
  dy0: usize,
  count1: usize,
  x1: usize,
  dy1: usize,
  count2: usize,
  x2: usize,
  dy2: usize,
  out: usize,
): void {
  const outRow = columns * 4;
  const whole = columns & ~7;
  for (let row: usize = 0; row < rows; row += 4) {
    const tileRows = min<usize>(4, rows - row);
    for (let column: usize = 0; column < whole; column += 8) {
      outerTile(
        x + row * 4,
        dy + column * 4,
        count0,
        x0,
        dy0,
        count1,
        x1,
        dy1,
        count2,
        x2,
        dy2,
        out + row * outRow + column * 4,
        outRow,
        tileRows,
      );
    }
    for (let column: usize = whole; column < columns; column++) {
      for (let r: usize = 0; r < tileRows; r++) {
        outerColumn(
          x + (row + r) * 4,
          dy + column * 4,
          count0,
          x0,
          dy0,
          count1,
          x1,
          dy1,
          count2,
          x2,
          dy2,
          out + (row + r) * outRow + column * 4,
        );
      }
    }
  }
}

/** Input and output rows of a block, which every tile walks again: inside a usual second-level cache. */
const BLOCK_BYTES: usize = 65536;

/**
 * dFilter [R, S, C, K] = sum over n, oh, ow of x[n, oh*stride + r - padTop, ow*stride + s - padLeft, c] * dy[n, oh, ow, k].
 * The output is overwritten.
 */
export function filterGradient(
  x: usize,
  batch: usize,
  height: usize,
  width: usize,
  channels: usize,
  dy: usize,
  outHeight: usize,
  outWidth: usize,
  outChannels: usize,
  filterHeight: usize,
  filterWidth: usize,
  strideHeight: usize,
  strideWidth: usize,
  padTop: usize,
  padLeft: usize,
  out: usize,
): void {
  const dyPixel = outChannels * 4;
  memory.fill(out, 0, filterHeight * filterWidth * channels * dyPixel);
  const xPixel = channels * 4;
  const xRow = width * xPixel;
  const xImage = height * xRow;
  const dyRow = outWidth * dyPixel;
  const dyImage = outHeight * dyRow;
  const imageBlock = max<usize>(1, BLOCK_BYTES / (xImage + dyImage));
  const rowBlock = min(outHeight, max<usize>(1, BLOCK_BYTES / (strideHeight * xRow + dyRow)));
  for (let n: usize = 0; n < batch; n += imageBlock) {
    const images = min(imageBlock, batch - n);
    for (let blockFirst: usize = 0; blockFirst < outHeight; blockFirst += rowBlock) {
      const blockLimit = min(outHeight, blockFirst + rowBlock);
      for (let r: usize = 0; r < filterHeight; r++) {
        const rowFirst = max(blockFirst, firstInside(r, padTop, strideHeight));
        const rowLimit = min(blockLimit, limitInside(height, r, padTop, strideHeight));
        if (rowLimit <= rowFirst) continue;
        const rowCount = rowLimit - rowFirst;
        for (let s: usize = 0; s < filterWidth; s++) {
          const columnFirst = firstInside(s, padLeft, strideWidth);
          const columnLimit = min(outWidth, limitInside(width, s, padLeft, strideWidth));
          if (columnLimit <= columnFirst) continue;
          const columnCount = columnLimit - columnFirst;
          const a = x + n * xImage + (rowFirst * strideHeight + r - padTop) * xRow + (columnFirst * strideWidth + s - padLeft) * xPixel;
          const b = dy + n * dyImage + rowFirst * dyRow + columnFirst * dyPixel;
          const to = out + (r * filterWidth + s) * channels * dyPixel;
          const x1 = strideHeight * xRow;
          const x2 = strideWidth * xPixel;
          // The longest loop goes inside: columns, unless so few are left that images are more.
          if (columnCount >= 4) {
            outer(a, channels, b, outChannels, images, xImage, dyImage, rowCount, x1, dyRow, columnCount, x2, dyPixel, to);
          } else {
            outer(a, channels, b, outChannels, rowCount, x1, dyRow, columnCount, x2, dyPixel, images, xImage, dyImage, to);
          }
        }
      }
    }
  }
}

/** The first output position whose input position o*stride + tap - pad is not negative. */
function firstInside(tap: usize, pad: usize, stride: usize): usize {
  return tap < pad ? (pad - tap + stride - 1) / stride : 0;
}

/** One past the last output position whose input position is less than `length`. */
function limitInside(length: usize, tap: usize, pad: usize, stride: usize): usize {
  return length + pad > tap ? (length + pad - tap + stride - 1) / stride : 0;
}

/** out [rows, columns] = a^T b with a [depth, rows] and b [depth, columns]. */
export function multiplyTransposed(a: usize, rows: usize, depth: usize, b: usize, columns: usize, out: usize): void {
  memory.fill(out, 0, rows * columns * 4);
  // Blocks keep the rows of b that a tile column walks in the first-level cache.
  const block = max<usize>(16, BLOCK_BYTES / ((rows + columns) * 4));
  for (let d: usize = 0; d < depth; d += block) {
    outer(a + d * rows * 4, rows, b + d * columns * 4, columns, 1, 0, 0, 1, 0, 0, min(block, depth - d), rows * 4, columns * 4, out);
  }
}
