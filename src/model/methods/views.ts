/** The views of a step, checked. */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { StepViews } from '../method.js';
import type { Stem } from '../network/architecture.js';
import { DOUBLINGS } from '../network/decoder.js';
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
 * @param side of a picture of the view, pixels
 * @throws RangeError for one that is no multiple of what a cell of the backbone's last map stands for
 */
export function checkCells(name: string, side: number, stem: Stem): void {
  const of = 2 ** DOUBLINGS[stem];
  if (side % of === 0) return;
  const near = Math.max(1, Math.round(side / of)) * of;
  throw new RangeError(
    `The view "${name}" is ${side} x ${side} pixels: expected a multiple of ${of}, the pixels that a cell of the last map stands for; ` +
      `use recipe.globalSize (--global-size) ${near}, or another method.stem`,
  );
}
