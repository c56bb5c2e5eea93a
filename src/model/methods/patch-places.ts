/** Where the patches of a jigsaw view lie in their image. */
import type { StepSamples } from '../method.js';

/** Cells of a jigsaw, 3x3, row by row. */
export const CELLS = 9;

/**
 * Of each image the patch that was cut from each cell: `places[image][cell]` is its number among the nine of the view.
 *
 * @throws TypeError where it is not known how the patches were cut
 */
export function patchesInPlace(samples: StepSamples | undefined, view: string): readonly Int32Array[] {
  const pictures = samples?.plans[view];
  if (!pictures) throw new TypeError(`How the view "${view}" was cut is not known: expected samples.plans.${view}, an entry an image`);
  return pictures.map(({ jigsaw }, image) => {
    if (!jigsaw) throw new TypeError(`Image ${image} of the view "${view}" was not cut into patches: expected a view of kind jigsaw`);
    const places = new Int32Array(CELLS);
    jigsaw.order.forEach((cell, patch) => (places[cell] = patch));
    return places;
  });
}
