/** What the engines' kernels should compute, in plain loops over float64: slow and easy to believe. NHWC, row-major. */

export interface Array64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export function zeros(shape: readonly number[]): Array64 {
  return { shape, data: new Float64Array(shape.reduce((product, length) => product * length, 1)) };
}

/** Element access by indices. */
function offset(shape: readonly number[], indices: readonly number[]): number {
  let at = 0;
  for (let axis = 0; axis < indices.length; axis++) at = at * (shape[axis] ?? 1) + (indices[axis] ?? 0);
  return at;
}

function get(array: Array64, ...indices: number[]): number {
  return array.data[offset(array.shape, indices)] ?? Number.NaN;
}

function add(array: Array64, value: number, ...indices: number[]): void {
  const at = offset(array.shape, indices);
  array.data[at] = (array.data[at] ?? Number.NaN) + value;
}

export interface Window {
  readonly stride: number;
  readonly padTop: number;
  readonly padLeft: number;
}

/** Calls `visit` for each (image, output row, output column, tap row, tap column, input row, input column) inside the input. */
function slide(
  input: readonly number[],
  output: readonly number[],
  taps: readonly [number, number],
  { stride, padTop, padLeft }: Window,
  visit: (n: number, oh: number, ow: number, r: number, s: number, ih: number, iw: number) => void,
): void {
  const [, height = 0, width = 0] = input;
  const [batch = 0, outHeight = 0, outWidth = 0] = output;
  for (let n = 0; n < batch; n++) {
    for (let oh = 0; oh < outHeight; oh++) {
      for (let ow = 0; ow < outWidth; ow++) {
        for (let r = 0; r < taps[0]; r++) {
          for (let s = 0; s < taps[1]; s++) {
            const ih = oh * stride + r - padTop;
            const iw = ow * stride + s - padLeft;
            if (ih >= 0 && iw >= 0 && ih < height && iw < width) visit(n, oh, ow, r, s, ih, iw);
          }
        }
      }
    }
  }
}

/** A convolution and, for a given dy, the gradients of its sum of products with dy. */
export function convolution(x: Array64, filter: Array64, dy: Array64, window: Window): { y: Array64; dx: Array64; dFilter: Array64 } {
  const [taps0 = 0, taps1 = 0, channels = 0, outChannels = 0] = filter.shape;
  const [y, dx, dFilter] = [zeros(dy.shape), zeros(x.shape), zeros(filter.shape)];
  slide(x.shape, dy.shape, [taps0, taps1], window, (n, oh, ow, r, s, ih, iw) => {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < outChannels; k++) {
        add(y, get(x, n, ih, iw, c) * get(filter, r, s, c, k), n, oh, ow, k);
        add(dx, get(dy, n, oh, ow, k) * get(filter, r, s, c, k), n, ih, iw, c);
        add(dFilter, get(dy, n, oh, ow, k) * get(x, n, ih, iw, c), r, s, c, k);
      }
    }
  });
  return { y, dx, dFilter };
}

/** A max pool and, for a given dy, the gradient: all of it to the first maximum of the window in row-major order. */
export function maxPool(x: Array64, dy: Array64, size: number, window: Window): { y: Array64; dx: Array64 } {
  const y = zeros(dy.shape);
  y.data.fill(-Infinity);
  const winner = new Map<number, number>();
  const dx = zeros(x.shape);
  const channels = x.shape[3] ?? 0;
  slide(x.shape, dy.shape, [size, size], window, (n, oh, ow, _r, _s, ih, iw) => {
    for (let c = 0; c < channels; c++) {
      const at = offset(y.shape, [n, oh, ow, c]);
      const value = get(x, n, ih, iw, c);
      if (value > (y.data[at] ?? 0)) {
        y.data[at] = value;
        winner.set(at, offset(x.shape, [n, ih, iw, c]));
      }
    }
  });
  for (const [from, to] of winner) dx.data[to] = (dx.data[to] ?? 0) + (dy.data[from] ?? 0);
  return { y, dx };
}

export interface BatchNormOptions {
  readonly groups: number;
  readonly epsilon: number;
  readonly relu: boolean;
}

/** Grouped batch norm; `mean` and `variance` (unbiased) are means over groups. */
export function batchNorm(
  x: Array64,
  scale: Array64,
  shift: Array64,
  residual: Array64 | undefined,
  { groups, epsilon, relu }: BatchNormOptions,
): { y: Array64; mean: Array64; variance: Array64 } {
  const channels = scale.data.length;
  const rows = x.data.length / channels / groups;
  const y = zeros(x.shape);
  const [mean, variance] = [zeros([channels]), zeros([channels])];
  for (let g = 0; g < groups; g++) {
    for (let c = 0; c < channels; c++) {
      const indices = Array.from({ length: rows }, (_, r) => (g * rows + r) * channels + c);
      const values = indices.map((i) => x.data[i] ?? Number.NaN);
      const m = values.reduce((sum, v) => sum + v, 0) / rows;
      const v = values.reduce((sum, value) => sum + (value - m) ** 2, 0) / rows;
      add(mean, m / groups, c);
      add(variance, (v * rows) / (rows - 1) / groups, c);
      for (const i of indices) {
        const normal = ((x.data[i] ?? Number.NaN) - m) / Math.sqrt(v + epsilon);
        const z = normal * (scale.data[c] ?? Number.NaN) + (shift.data[c] ?? Number.NaN) + (residual?.data[i] ?? 0);
        y.data[i] = relu ? Math.max(0, z) : z;
      }
    }
  }
  return { y, mean, variance };
}

/** a [rows, depth] times b [depth, columns]. */
export function product(a: Array64, b: Array64): Array64 {
  const [rows = 0, depth = 0] = a.shape;
  const [, columns = 0] = b.shape;
  const out = zeros([rows, columns]);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let d = 0; d < depth; d++) add(out, get(a, i, d) * get(b, d, j), i, j);
    }
  }
  return out;
}

export function transpose(a: Array64): Array64 {
  const [rows = 0, columns = 0] = a.shape;
  const out = zeros([columns, rows]);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) add(out, get(a, i, j), j, i);
  return out;
}

/** Central differences of a scalar function, element by element. */
export function numericGradient(f: (x: Array64) => number, x: Array64, step: number): Array64 {
  const gradient = zeros(x.shape);
  const moved = { shape: x.shape, data: x.data.slice() };
  for (const [i, value] of x.data.entries()) {
    moved.data[i] = value + step;
    const above = f(moved);
    moved.data[i] = value - step;
    const below = f(moved);
    moved.data[i] = value;
    gradient.data[i] = (above - below) / (2 * step);
  }
  return gradient;
}

/** InfoNCE of [N, D] queries and keys with a queue [K, D], and its gradient by the queries. */
export function infoNce(q: Array64, keys: Array64, queue: Array64, temperature: number): { loss: number; gradient: Array64 } {
  const [n = 0, width = 0] = q.shape;
  const [negatives = 0] = queue.shape;
  const gradient = zeros(q.shape);
  let loss = 0;
  for (let row = 0; row < n; row++) {
    const candidates = [
      keys.data.subarray(row * width, (row + 1) * width),
      ...Array.from({ length: negatives }, (_, k) => queue.data.subarray(k * width, (k + 1) * width)),
    ];
    const logits = candidates.map((key) => key.reduce((sum, value, d) => sum + value * get(q, row, d), 0) / temperature);
    const largest = Math.max(...logits);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    loss += (Math.log(total) + largest - (logits[0] ?? Number.NaN)) / n;
    candidates.forEach((key, k) => {
      const slope = Math.exp((logits[k] ?? Number.NaN) - largest) / total - (k === 0 ? 1 : 0);
      key.forEach((value, d) => add(gradient, (slope * value) / (n * temperature), row, d));
    });
  }
  return { loss, gradient };
}
