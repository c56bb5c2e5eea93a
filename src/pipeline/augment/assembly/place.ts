/** Operations that only move pixels. */

/** Mirrors every row in place. */
export function mirror(image: usize, width: i32, height: i32): void {
  const stride = <usize>width * 3;
  for (let y = 0; y < height; y++) {
    let left = image + <usize>y * stride;
    let right = left + stride - 3;
    for (; left < right; left += 3, right -= 3) {
      for (let channel: usize = 0; channel < 3; channel++) {
        const held = load<u8>(left + channel);
        store<u8>(left + channel, load<u8>(right + channel));
        store<u8>(right + channel, held);
      }
    }
  }
}

/** Turns a square image by 90 degrees counter-clockwise. */
export function quarterTurn(source: usize, target: usize, side: i32): void {
  const stride = <usize>side * 3;
  for (let x = side - 1; x >= 0; x--) {
    let from = source + <usize>x * 3;
    // The fourth byte is the next pixel's, which comes later.
    for (let y = 0; y < side; y++, from += stride, target += 3) store<u32>(target, load<u32>(from));
  }
}

/**
 * Cuts square patches out of a canvas, one after the other.
 *
 * @param corners x and y of each patch's corner, pixels, 2 x i32
 */
export function cutPatches(canvas: usize, canvasSide: i32, patchSide: i32, corners: usize, patches: i32, target: usize): void {
  const stride = <usize>canvasSide * 3;
  const bytes = <usize>patchSide * 3;
  for (let i = 0; i < patches; i++, corners += 8) {
    let from = canvas + <usize>load<i32>(corners, 4) * stride + <usize>load<i32>(corners) * 3;
    for (let y = 0; y < patchSide; y++, from += stride, target += bytes) {
      for (let x: usize = 0; x < bytes; x += 16) v128.store(target + x, v128.load(from + x));
    }
  }
}
