/** out[segments[r]] += source[r] for rows of `width` floats; rows with a segment outside [0, count) are left out. `out` is overwritten. */
export function sumSegments(source: usize, segments: usize, rows: usize, width: usize, count: i32, out: usize): void {
  memory.fill(out, 0, <usize>count * width * 4);
  const bytes = width * 4;
  for (let row: usize = 0; row < rows; row++) {
    const segment = load<i32>(segments + row * 4);
    if (segment < 0 || segment >= count) continue;
    const from = source + row * bytes;
    const to = out + <usize>segment * bytes;
    for (let at: usize = 0; at < bytes; at += 4) store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at));
  }
}
