/** Boxes [left, top, right, bottom] in pixels of an evaluated image, and which cells of a map they cover. */

/**
 * The box of a picture as it lies in the centre crop of the picture, resized to `size`.
 *
 * @param fraction the crop's share of the picture's shorter side
 */
export function inCrop({ x, y, width, height }, picture, { size, fraction }) {
  const side = fraction * Math.min(picture.width, picture.height);
  const within = (at, whole) => Math.min(size, Math.max(0, ((at - (whole - side) / 2) * size) / side));
  return [within(x, picture.width), within(y, picture.height), within(x + width, picture.width), within(y + height, picture.height)];
}

/** The middle of each cell of a grid, row by row, in pixels. */
export function cellMiddles(grid, size) {
  const middle = (at) => ((at + 0.5) * size) / grid;
  return Array.from({ length: grid * grid }, (_, cell) => [middle(cell % grid), middle(Math.floor(cell / grid))]);
}

/**
 * Which object covers the middle of each cell: its number, or -1 for none; of several the last.
 *
 * @param share of each side of the box, around its centre, that counts
 */
export function coveredBy(boxes, grid, size, share = 1) {
  return cellMiddles(grid, size).map(([x, y]) =>
    boxes.findLastIndex(
      ([left, top, right, bottom]) =>
        Math.abs(x - (left + right) / 2) <= (share * (right - left)) / 2 &&
        Math.abs(y - (top + bottom) / 2) <= (share * (bottom - top)) / 2,
    ),
  );
}

/** Intersection over union. */
export function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  return (width * height) / (area(a) + area(b) - width * height);
}
