/** Eigenvalues of symmetric matrices, without their vectors. */

/** Sweeps of QL for one eigenvalue; a few suffice. */
const MOST_SWEEPS = 60;

/**
 * All eigenvalues of a symmetric matrix, in no order: Householder's reflections make it tridiagonal, QL with implicit shifts does the rest
 * (Golub and Van Loan, "Matrix computations", sections 8.3.1 and 8.3.3).
 *
 * @param matrix [n, n], row-major, of which the lower half is read; it is overwritten
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonal(matrix, n);
  return implicitQl(diagonal, beside);
}

/** @returns the diagonal, [n], and what lies beside it: `beside[i]` in row i, `beside[0]` is 0 */
function tridiagonal(a: Float64Array, n: number): { readonly diagonal: Float64Array; readonly beside: Float64Array } {
  const at = (row: number, column: number): number => a[row * n + column] ?? 0;
  const beside = new Float64Array(n);
  const product = new Float64Array(n);
  for (let row = n - 1; row > 0; row--) {
    const reflector = a.subarray(row * n, row * n + row);
    const last = reflector[row - 1] ?? 0;
    const norm = lengthOf(reflector);
    beside[row] = last > 0 ? -norm : norm;
    // Nothing to reflect: the row is tridiagonal already.
    if (norm === 0 || norm === Math.abs(last)) {
      beside[row] = last;
      continue;
    }
    const target = beside[row] ?? 0;
    reflector[row - 1] = last - target;
    const scale = norm * norm - last * target;
    // product = A u / scale, over the rows above; A is symmetric and its lower half is kept.
    product.fill(0, 0, row);
    for (let i = 0; i < row; i++) {
      const [u, line] = [reflector[i] ?? 0, a.subarray(i * n, i * n + i)];
      let sum = at(i, i) * u;
      for (let j = 0; j < i; j++) {
        sum += (line[j] ?? 0) * (reflector[j] ?? 0);
        product[j] = (product[j] ?? 0) + (line[j] ?? 0) * u;
      }
      product[i] = (product[i] ?? 0) + sum;
    }
    let along = 0;
    for (let i = 0; i < row; i++) {
      product[i] = (product[i] ?? 0) / scale;
      along += (product[i] ?? 0) * (reflector[i] ?? 0);
    }
    along /= 2 * scale;
    for (let i = 0; i < row; i++) product[i] = (product[i] ?? 0) - along * (reflector[i] ?? 0);
    for (let i = 0; i < row; i++) {
      const [u, p, line] = [reflector[i] ?? 0, product[i] ?? 0, a.subarray(i * n, i * n + i + 1)];
      for (let j = 0; j <= i; j++) line[j] = (line[j] ?? 0) - u * (product[j] ?? 0) - p * (reflector[j] ?? 0);
    }
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => at(i, i)), beside };
}

function lengthOf(values: Float64Array): number {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares);
}

function implicitQl(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const n = diagonal.length;
  const d = diagonal;
  const e = new Float64Array(n);
  e.set(beside.subarray(1));
  const value = (of: Float64Array, i: number): number => of[i] ?? 0;
  for (let low = 0; low < n; low++) {
    for (let sweep = 0; ; sweep++) {
      let high = low;
      while (high < n - 1 && Math.abs(value(e, high)) > Number.EPSILON * (Math.abs(value(d, high)) + Math.abs(value(d, high + 1)))) high++;
      if (high === low) break;
      if (sweep === MOST_SWEEPS) throw new Error(`no eigenvalue ${low} after ${MOST_SWEEPS} sweeps: the matrix holds what is no number`);
      // Wilkinson's shift.
      const half = (value(d, low + 1) - value(d, low)) / (2 * value(e, low));
      const shift = value(d, low) - value(e, low) / (half + Math.sign(half || 1) * Math.hypot(half, 1));
      let g = value(d, high) - shift;
      let [sine, cosine, p] = [1, 1, 0];
      let i = high - 1;
      for (; i >= low; i--) {
        const f = sine * value(e, i);
        const b = cosine * value(e, i);
        const r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) break;
        sine = f / r;
        cosine = g / r;
        g = value(d, i + 1) - p;
        const s = (value(d, i) - g) * sine + 2 * cosine * b;
        p = sine * s;
        d[i + 1] = g + p;
        g = cosine * s - b;
      }
      if (i >= low) {
        // It fell apart in two on the way.
        d[i + 1] = value(d, i + 1) - p;
      } else {
        d[low] = value(d, low) - p;
        e[low] = g;
      }
      e[high] = 0;
    }
  }
  return d;
}
