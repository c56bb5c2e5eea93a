/** The views of a step, checked. */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { StepViews } from '../method.js';
import { checkBnGroups } from './options.js';

/**
 * By default a view of whole images.
 *
 * @param ranks that have as many images each
 * @throws TypeError where the view is missing, RangeError for a batch that does not divide into the batch norm groups
 */
export function viewOf<View extends Tensor = Tensor4D>(
  views: StepViews,
  name: string,
  options: { readonly bnGroups: number },
  ranks = 1,
): View {
  const images = views[name] as View | undefined;
  if (!images) throw new TypeError(`The view "${name}" is missing: there are ${Object.keys(views).join(', ') || 'none'}`);
  checkBnGroups(options, ranks * (images.shape[0] ?? 0));
  return images;
}

/**
 * For methods that tell something of each part of a picture.
 *
 * @param of pixels of a side that one cell of the backbone's last map stands for
 * @throws RangeError for sides that are no multiple of it
 */
export function checkSides({ shape: [, height, width] }: Tensor4D, name: string, of: number): void {
  if (height % of === 0 && width % of === 0) return;
  const near = Math.max(1, Math.round(height / of)) * of;
  throw new RangeError(
    `The view "${name}" is ${width} x ${height} pixels: expected a multiple of ${of}, the pixels that a cell of the last map stands for; ` +
      `use recipe.globalSize (--global-size) ${near}, or another method.stem`,
  );
}
