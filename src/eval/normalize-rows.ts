/** Scales each row of [rows, dimensions] to unit length, in place; a row of zeros stays. */
export function normalizeRows(values: Float32Array, dimensions: number): Float32Array {
  for (let start = 0; start < values.length; start += dimensions) {
    const row = values.subarray(start, start + dimensions);
    let squares = 0;
    for (const value of row) squares += value * value;
    const norm = Math.sqrt(squares);
    if (norm > 0) for (let i = 0; i < dimensions; i++) row[i] = (row[i] ?? 0) / norm;
  }
  return values;
}
