/**
 * Train-mode batch norm over rows of channels, [groups x rows, C], each group with its own statistics.
 *
 * Every pass walks chunks of rows that fit the first-level cache, four channels at a time. Sums of a chunk are float32,
 * sums of chunks float64; squares are taken about the group's first row, so a large mean costs no digits.
 */

/** Floats of a chunk: 16 KiB, half of a usual first-level cache. */
const CHUNK_FLOATS: usize = 4096;

function chunkRows(channels: usize): usize {
  return max<usize>(8, CHUNK_FLOATS / channels);
}

function addDoubles(at: usize, v: v128): void {
  v128.store(at, f64x2.add(v128.load(at), f64x2.promote_low_f32x4(v)));
  v128.store(
    at,
    f64x2.add(v128.load(at, 16), f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 0, 1))),
    16,
  );
}

/** sums[c] = sum of x - pivot, squares[c] = sum of its square, float64, over `rows` rows; the pivot is the first row. */
function statistics(x: usize, rows: usize, channels: usize, sums: usize, squares: usize): void {
  memory.fill(sums, 0, channels * 8);
  memory.fill(squares, 0, channels * 8);
  const row = channels * 4;
  const whole = channels & ~3;
  const step = chunkRows(channels);
  for (let start: usize = 0; start < rows; start += step) {
    const count = min(step, rows - start);
    const chunk = x + start * row;
    for (let c: usize = 0; c < whole; c += 4) {
      const pivot = v128.load(x + c * 4);
      let sum0 = f32x4.splat(0);
      let sum1 = sum0;
      let square0 = sum0;
      let square1 = sum0;
      let at = chunk + c * 4;
      let left = count;
      while (left >= 2) {
        const d0 = f32x4.sub(v128.load(at), pivot);
        const d1 = f32x4.sub(v128.load(at + row), pivot);
        sum0 = f32x4.add(sum0, d0);
        sum1 = f32x4.add(sum1, d1);
        square0 = f32x4.add(square0, f32x4.mul(d0, d0));
        square1 = f32x4.add(square1, f32x4.mul(d1, d1));
        at += 2 * row;
        left -= 2;
      }
      if (left > 0) {
        const d0 = f32x4.sub(v128.load(at), pivot);
        sum0 = f32x4.add(sum0, d0);
        square0 = f32x4.add(square0, f32x4.mul(d0, d0));
      }
      addDoubles(sums + c * 8, f32x4.add(sum0, sum1));
      addDoubles(squares + c * 8, f32x4.add(square0, square1));
    }
    for (let c: usize = whole; c < channels; c++) {
      const pivot = load<f32>(x + c * 4);
      let sum: f64 = 0;
      let square: f64 = 0;
      for (let r: usize = 0; r < count; r++) {
        const d = <f64>(load<f32>(chunk + r * row + c * 4) - pivot);
        sum += d;
        square += d * d;
      }
      store<f64>(sums + c * 8, load<f64>(sums + c * 8) + sum);
      store<f64>(squares + c * 8, load<f64>(squares + c * 8) + square);
    }
  }
}

/** y = (x - mean) * factor + offset (+ residual), not below `floor`, over `rows` rows. */
function normalise(
  x: usize,
  rows: usize,
  channels: usize,
  mean: usize,
  factor: usize,
  offset: usize,
  residual: usize,
  floor: f32,
  y: usize,
): void {
  const row = channels * 4;
  const whole = channels & ~3;
  const lowest = f32x4.splat(floor);
  const step = chunkRows(channels);
  for (let start: usize = 0; start < rows; start += step) {
    const end = min(start + step, rows) * row;
    for (let c: usize = 0; c < whole; c += 4) {
      const m = v128.load(mean + c * 4);
      const f = v128.load(factor + c * 4);
      const o = v128.load(offset + c * 4);
      if (residual != 0) {
        for (let at = start * row + c * 4; at < end; at += row) {
          const z = f32x4.add(
            f32x4.mul(f32x4.sub(v128.load(x + at), m), f),
            f32x4.add(o, v128.load(residual + at)),
          );
          v128.store(y + at, f32x4.pmax(z, lowest));
        }
      } else {
        for (let at = start * row + c * 4; at < end; at += row) {
          const z = f32x4.add(f32x4.mul(f32x4.sub(v128.load(x + at), m), f), o);
          v128.store(y + at, f32x4.pmax(z, lowest));
        }
      }
    }
    for (let c: usize = whole; c < channels; c++) {
      for (let at = start * row + c * 4; at < end; at += row) {
        let z =
          (load<f32>(x + at) - load<f32>(mean + c * 4)) * load<f32>(factor + c * 4) +
          load<f32>(offset + c * 4);
        if (residual != 0) z += load<f32>(residual + at);
        store<f32>(y + at, z < floor ? floor : z);
      }
    }
  }
}

/** Bytes of scratch that both directions need: two rows of float64 and two of float32. */
export function batchNormScratch(channels: usize): usize {
  return channels * 24;
}

/**
 * y and its statistics: `mean` and `variance` [C] are means over groups (variance unbiased), `groupMean` and `groupInverse`
 * [groups, C] are kept for the backward pass. `residual` may be 0 (none).
 */
export function batchNorm(
  x: usize,
  groups: usize,
  rows: usize,
  channels: usize,
  scale: usize,
  offset: usize,
  epsilon: f64,
  residual: usize,
  relu: bool,
  y: usize,
  mean: usize,
  variance: usize,
  groupMean: usize,
  groupInverse: usize,
  scratch: usize,
): void {
  const sums = scratch;
  const squares = sums + channels * 8;
  const factor = squares + channels * 8;
  const bytes = rows * channels * 4;
  memory.fill(mean, 0, channels * 4);
  memory.fill(variance, 0, channels * 4);
  const floor: f32 = relu ? 0 : -f32.MAX_VALUE;
  for (let g: usize = 0; g < groups; g++) {
    const from = x + g * bytes;
    statistics(from, rows, channels, sums, squares);
    const n = <f64>rows;
    for (let c: usize = 0; c < channels; c++) {
      const shift = load<f64>(sums + c * 8) / n;
      const v = max<f64>(0, load<f64>(squares + c * 8) / n - shift * shift);
      const m = <f64>load<f32>(from + c * 4) + shift;
      const inverse = 1 / sqrt<f64>(v + epsilon);
      store<f32>(groupMean + c * 4, <f32>m);
      store<f32>(groupInverse + c * 4, <f32>inverse);
      store<f32>(factor + c * 4, <f32>(inverse * <f64>load<f32>(scale + c * 4)));
      store<f32>(mean + c * 4, load<f32>(mean + c * 4) + <f32>(m / <f64>groups));
      store<f32>(
        variance + c * 4,
        load<f32>(variance + c * 4) + <f32>((v * n) / (n - 1) / <f64>groups),
      );
    }
    normalise(
      from,
      rows,
      channels,
      groupMean,
      factor,
      offset,
      residual == 0 ? 0 : residual + g * bytes,
      floor,
      y + g * bytes,
    );
    groupMean += channels * 4;
    groupInverse += channels * 4;
  }
}

/**
 * sums[c] = sum of dz, products[c] = sum of dz (x - mean), float64. dz is dy where y > 0 (y = 0: everywhere) and is written to
 * `dz` unless that is 0.
 */
function gradientSums(
  x: usize,
  y: usize,
  dy: usize,
  rows: usize,
  channels: usize,
  mean: usize,
  dz: usize,
  sums: usize,
  products: usize,
): void {
  memory.fill(sums, 0, channels * 8);
  memory.fill(products, 0, channels * 8);
  const row = channels * 4;
  const whole = channels & ~3;
  const step = chunkRows(channels);
  const zero = f32x4.splat(0);
  for (let start: usize = 0; start < rows; start += step) {
    const end = min(start + step, rows) * row;
    for (let c: usize = 0; c < whole; c += 4) {
      const m = v128.load(mean + c * 4);
      let sum = zero;
      let product = zero;
      for (let at = start * row + c * 4; at < end; at += row) {
        let g = v128.load(dy + at);
        if (y != 0) g = v128.and(g, f32x4.gt(v128.load(y + at), zero));
        if (dz != 0) v128.store(dz + at, g);
        sum = f32x4.add(sum, g);
        product = f32x4.add(product, f32x4.mul(g, f32x4.sub(v128.load(x + at), m)));
      }
      addDoubles(sums + c * 8, sum);
      addDoubles(products + c * 8, product);
    }
    for (let c: usize = whole; c < channels; c++) {
      let sum: f64 = 0;
      let product: f64 = 0;
      for (let at = start * row + c * 4; at < end; at += row) {
        const g: f32 = y != 0 && !(load<f32>(y + at) > 0) ? 0 : load<f32>(dy + at);
        if (dz != 0) store<f32>(dz + at, g);
        sum += g;
        product += <f64>g * <f64>(load<f32>(x + at) - load<f32>(mean + c * 4));
      }
      store<f64>(sums + c * 8, load<f64>(sums + c * 8) + sum);
      store<f64>(products + c * 8, load<f64>(products + c * 8) + product);
    }
  }
}

/** dx = factor (dz - shift - slope (x - mean)) over `rows` rows. */
function inputGradient(
  x: usize,
  y: usize,
  dy: usize,
  rows: usize,
  channels: usize,
  mean: usize,
  factor: usize,
  shift: usize,
  slope: usize,
  dx: usize,
): void {
  const row = channels * 4;
  const whole = channels & ~3;
  const step = chunkRows(channels);
  const zero = f32x4.splat(0);
  for (let start: usize = 0; start < rows; start += step) {
    const end = min(start + step, rows) * row;
    for (let c: usize = 0; c < whole; c += 4) {
      const m = v128.load(mean + c * 4);
      const f = v128.load(factor + c * 4);
      const a = v128.load(shift + c * 4);
      const b = v128.load(slope + c * 4);
      for (let at = start * row + c * 4; at < end; at += row) {
        let g = v128.load(dy + at);
        if (y != 0) g = v128.and(g, f32x4.gt(v128.load(y + at), zero));
        const centred = f32x4.sub(v128.load(x + at), m);
        v128.store(dx + at, f32x4.mul(f, f32x4.sub(f32x4.sub(g, a), f32x4.mul(b, centred))));
      }
    }
    for (let c: usize = whole; c < channels; c++) {
      const m = load<f32>(mean + c * 4);
      for (let at = start * row + c * 4; at < end; at += row) {
        const g: f32 = y != 0 && !(load<f32>(y + at) > 0) ? 0 : load<f32>(dy + at);
        const centred = load<f32>(x + at) - m;
        store<f32>(
          dx + at,
          load<f32>(factor + c * 4) *
            (g - load<f32>(shift + c * 4) - load<f32>(slope + c * 4) * centred),
        );
      }
    }
  }
}

/** Bytes of scratch of the backward pass: two rows of float64, three of float32. */
export function batchNormGradientScratch(channels: usize): usize {
  return channels * 28;
}

/**
 * Gradients of `batchNorm` from dy. `y` is its output when relu was fused, else 0. `dResidual` (may be 0) receives dy masked by y > 0.
 */
export function batchNormGradient(
  x: usize,
  y: usize,
  dy: usize,
  groups: usize,
  rows: usize,
  channels: usize,
  scale: usize,
  groupMean: usize,
  groupInverse: usize,
  dx: usize,
  dScale: usize,
  dOffset: usize,
  dResidual: usize,
  scratch: usize,
): void {
  const sums = scratch;
  const products = sums + channels * 8;
  const factor = products + channels * 8;
  const shift = factor + channels * 4;
  const slope = shift + channels * 4;
  const bytes = rows * channels * 4;
  const n = <f64>rows;
  memory.fill(dScale, 0, channels * 4);
  memory.fill(dOffset, 0, channels * 4);
  for (let g: usize = 0; g < groups; g++) {
    gradientSums(x, y, dy, rows, channels, groupMean, dResidual, sums, products);
    for (let c: usize = 0; c < channels; c++) {
      const inverse = <f64>load<f32>(groupInverse + c * 4);
      const sum = load<f64>(sums + c * 8);
      const product = load<f64>(products + c * 8) * inverse;
      store<f32>(factor + c * 4, <f32>(inverse * <f64>load<f32>(scale + c * 4)));
      store<f32>(shift + c * 4, <f32>(sum / n));
      store<f32>(slope + c * 4, <f32>((product * inverse) / n));
      store<f32>(dOffset + c * 4, load<f32>(dOffset + c * 4) + <f32>sum);
      store<f32>(dScale + c * 4, load<f32>(dScale + c * 4) + <f32>product);
    }
    // The masked gradient, where it was written, spares the second read of y.
    if (dResidual != 0) {
      inputGradient(x, 0, dResidual, rows, channels, groupMean, factor, shift, slope, dx);
      dResidual += bytes;
    } else {
      inputGradient(x, y, dy, rows, channels, groupMean, factor, shift, slope, dx);
    }
    x += bytes;
    if (y != 0) y += bytes;
    dy += bytes;
    dx += bytes;
    groupMean += channels * 4;
    groupInverse += channels * 4;
  }
}
