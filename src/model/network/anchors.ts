/**
 * Boxes a little off (InsLoc section 3.3, "bounding-box augmentation"): anchors of a detector that overlap the true box. Sizes and places are
 * those of its code (configs/FPN/insloc_fpn_200ep.py) for a picture of 256 pixels, and in proportion for others.
 */
import type { Random } from '../../common/random.js';

/** Left, top, right, bottom; pixels. */
export type Corners = readonly [left: number, top: number, right: number, bottom: number];

/** Of the picture's side: between centres, and the square root of an anchor's area. */
const STEP = 1 / 16;
const SIDES = [1 / 8, 1 / 4, 1 / 2, 1] as const;
/** Height over width. */
const RATIOS = [1 / 2, 3 / 4, 1, 3 / 2, 2] as const;
/** Intersection over union with the true box. */
const LEAST_OVERLAP = 0.5;

/** All anchors in a picture of `size` x `size` pixels, cut off at its border. */
export function anchors(size: number): Corners[] {
  const clip = (at: number): number => Math.min(size, Math.max(0, at));
  const centres = Array.from({ length: 1 / STEP }, (_, i) => i * STEP * size);
  const shapes = SIDES.flatMap((side) =>
    RATIOS.map((ratio) => [(side * size) / Math.sqrt(ratio), side * size * Math.sqrt(ratio)] as const),
  );
  return centres.flatMap((y) =>
    centres.flatMap((x) =>
      shapes.map(([width, height]): Corners => [clip(x - width / 2), clip(y - height / 2), clip(x + width / 2), clip(y + height / 2)]),
    ),
  );
}

/** One of the anchors that overlap the box by half, each as likely; the box itself where there is none. */
export function jittered(box: Corners, among: readonly Corners[], random: Random): Corners {
  const near = among.filter((anchor) => overlap(anchor, box) >= LEAST_OVERLAP);
  return near[random.below(Math.max(1, near.length))] ?? box;
}

/** Intersection over union. */
export function overlap(a: Corners, b: Corners): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = ([left, top, right, bottom]: Corners): number => (right - left) * (bottom - top);
  return (width * height) / (area(a) + area(b) - width * height);
}
