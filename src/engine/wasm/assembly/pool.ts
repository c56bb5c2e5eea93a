/**
 * dx of a max pool over NHWC: each dy goes to the first maximum of its window in row-major order, as PyTorch and TensorFlow do.
 * y is the forward output; positions outside the input never win. dx is overwritten.
 */
export function maxPoolGradient(
  x: usize,
  y: usize,
  dy: usize,
  batch: usize,
  height: usize,
  width: usize,
  channels: usize,
  outHeight: usize,
  outWidth: usize,
  filterHeight: i32,
  filterWidth: i32,
  strideHeight: i32,
  strideWidth: i32,
  padTop: i32,
  padLeft: i32,
  dx: usize,
): void {
  const pixel = channels * 4;
  const row = width * pixel;
  const image = height * row;
  const whole = channels & ~3;
  memory.fill(dx, 0, batch * image);
  for (let n: usize = 0; n < batch; n++) {
    for (let oh: i32 = 0; oh < <i32>outHeight; oh++) {
      const top = oh * strideHeight - padTop;
      const firstRow = <usize>max(0, top);
      const lastRow = <usize>min(<i32>height, top + filterHeight);
      for (let ow: i32 = 0; ow < <i32>outWidth; ow++) {
        const left = ow * strideWidth - padLeft;
        const first = <usize>max(0, left) * pixel;
        const last = <usize>min(<i32>width, left + filterWidth) * pixel;
        for (let c: usize = 0; c < whole; c += 4) {
          const peak = v128.load(y + c * 4);
          let pending = v128.load(dy + c * 4);
          for (let r = firstRow; r < lastRow; r++) {
            const base = n * image + r * row + c * 4;
            for (let at = base + first; at < base + last; at += pixel) {
              const equal = f32x4.eq(v128.load(x + at), peak);
              v128.store(dx + at, f32x4.add(v128.load(dx + at), v128.and(pending, equal)));
              pending = v128.andnot(pending, equal);
            }
          }
        }
        for (let c: usize = whole; c < channels; c++) {
          const peak = load<f32>(y + c * 4);
          let pending = load<f32>(dy + c * 4);
          for (let r = firstRow; r < lastRow; r++) {
            const base = n * image + r * row + c * 4;
            for (let at = base + first; at < base + last; at += pixel) {
              if (load<f32>(x + at) == peak) {
                store<f32>(dx + at, load<f32>(dx + at) + pending);
                pending = 0;
              }
            }
          }
        }
        y += pixel;
        dy += pixel;
      }
    }
  }
}
