/** Operations that look up each byte in a table made from its channel's histogram. */

/** Counts of every level, 3 x 256 u32. */
function histogram(image: usize, pixels: i32, counts: usize): void {
  memory.fill(counts, 0, 3 * 1024);
  for (const end = image + <usize>pixels * 3; image < end; image += 3) {
    const r = counts + ((<usize>load<u8>(image)) << 2);
    const g = counts + ((<usize>load<u8>(image, 1)) << 2);
    const b = counts + ((<usize>load<u8>(image, 2)) << 2);
    store<u32>(r, load<u32>(r) + 1);
    store<u32>(g, load<u32>(g, 1024) + 1, 1024);
    store<u32>(b, load<u32>(b, 2048) + 1, 2048);
  }
}

function lookUp(image: usize, pixels: i32, tables: usize): void {
  for (const end = image + <usize>pixels * 3; image < end; image += 3) {
    store<u8>(image, load<u8>(tables + <usize>load<u8>(image)));
    store<u8>(image, load<u8>(tables + <usize>load<u8>(image, 1), 256), 1);
    store<u8>(image, load<u8>(tables + <usize>load<u8>(image, 2), 512), 2);
  }
}

function identity(table: usize): void {
  for (let i: usize = 0; i < 256; i++) store<u8>(table + i, <u8>i);
}

/**
 * Pillow's ImageOps.autocontrast without cut-off, in place.
 *
 * @param scratch 4 KiB
 */
export function autoContrast(image: usize, pixels: i32, scratch: usize): void {
  const tables = scratch + 3 * 1024;
  histogram(image, pixels, scratch);
  for (let channel: usize = 0; channel < 3; channel++) {
    const counts = scratch + channel * 1024;
    const table = tables + channel * 256;
    let low = 0;
    let high = 255;
    while (low < 255 && load<u32>(counts + ((<usize>low) << 2)) == 0) low++;
    while (high > 0 && load<u32>(counts + ((<usize>high) << 2)) == 0) high--;
    if (high <= low) {
      identity(table);
      continue;
    }
    const scale = 255.0 / <f64>(high - low);
    const offset = -(<f64>low) * scale;
    for (let i = 0; i < 256; i++) {
      store<u8>(table + <usize>i, <u8>min(max(<i32>(<f64>i * scale + offset), 0), 255));
    }
  }
  lookUp(image, pixels, tables);
}

/**
 * Pillow's ImageOps.equalize, in place.
 *
 * @param scratch 4 KiB
 */
export function equalize(image: usize, pixels: i32, scratch: usize): void {
  const tables = scratch + 3 * 1024;
  histogram(image, pixels, scratch);
  for (let channel: usize = 0; channel < 3; channel++) {
    const counts = scratch + channel * 1024;
    const table = tables + channel * 256;
    let last = 255;
    while (last > 0 && load<u32>(counts + ((<usize>last) << 2)) == 0) last--;
    const step = (<u32>pixels - load<u32>(counts + ((<usize>last) << 2))) / 255;
    if (step == 0) {
      identity(table);
      continue;
    }
    let sum = step / 2;
    for (let i: usize = 0; i < 256; i++) {
      store<u8>(table + i, <u8>min(sum / step, 255));
      sum += load<u32>(counts + (i << 2));
    }
  }
  lookUp(image, pixels, tables);
}
