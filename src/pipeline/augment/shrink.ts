/** How much smaller than it is an image may be decoded, because every crop of it is made much smaller anyway. */
import type { DraftTimes } from '../jpeg/draft.js';
import type { CropPlan } from './parameters.js';

/**
 * libjpeg decodes at 1/2, 1/4 and 1/8 for a fraction of the cost; sharp uses that from shrinks of 3, 5 and 9 on. Where the
 * shrunk image still has two pixels a side for each pixel of a view, the view differs from that of the whole image by up to .6
 * levels on average in photographs, by less than 2 for the hardest textures, and at hard edges by up to 30.
 */
const SHRINKS = [9, 5, 3] as const;
const SPARE = 2;

/** No image with a side below this many times the largest view can be shrunk. */
export const LEAST_OVERSAMPLING = SPARE * Math.min(...SHRINKS);

/** The same for drafts, which leave a pixel for each pixel of a view. */
const DRAFTS = [4, 2] as const;
export const LEAST_FOR_DRAFT = Math.min(...DRAFTS);

/** Pixels per pixel of a view, on the side and in the crop that have fewest. */
function oversampling(crops: readonly CropPlan[]): number {
  return Math.min(...crops.map(({ scaleX, scaleY }) => Math.min(scaleX, scaleY)));
}

/** @returns 1, or one of the shrinks; the largest for which every crop has enough pixels */
export function shrinkFor(crops: readonly CropPlan[]): number {
  const finest = oversampling(crops);
  return SHRINKS.find((shrink) => finest >= SPARE * shrink) ?? 1;
}

/** @returns the largest draft that is no smaller, on either side of any crop, than its view */
export function draftFor(crops: readonly CropPlan[]): DraftTimes {
  const finest = oversampling(crops);
  return DRAFTS.find((times) => finest >= times) ?? 1;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The crop of an image of size `from`, in the pixels of the same image at size `to`; whole pixels for the window. */
export function rescale(crop: CropPlan, from: Size, to: Size): CropPlan {
  const x = to.width / from.width;
  const y = to.height / from.height;
  if (x === 1 && y === 1) return crop;
  const { window, left, top, scaleX, scaleY, size } = crop;
  const outer = { left: Math.floor(window.left * x), top: Math.floor(window.top * y) };
  const right = Math.min(Math.ceil((window.left + window.width) * x), to.width);
  const bottom = Math.min(Math.ceil((window.top + window.height) * y), to.height);
  return {
    window: { ...outer, width: right - outer.left, height: bottom - outer.top },
    left: left * x,
    top: top * y,
    scaleX: scaleX * x,
    scaleY: scaleY * y,
    size,
  };
}
