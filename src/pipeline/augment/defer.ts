/**
 * Which operations of a view a worker can leave to the device that trains, for machines with few cores and a large GPU.
 * The crop stays with the worker, so does the conversion to Lab, which is exact there, and so does all that comes before that.
 */
import { isGeometric } from '../../common/affine.js';
import type { CropPlan, JigsawPlan, PicturePlan, Step } from './parameters.js';
import { type ImageView, type JigsawView, pictureSide, type Recipe, type RotationsView, type View, type Views } from './recipe.js';

/** A picture to be cut out of an image: `size` x `size` pixels, antialiased as PIL's bilinear resize of a box is. */
export interface PendingCrop extends CropPlan {
  /** Left to right. */
  readonly mirrored: boolean;
}

/** What is left to do to one picture of a view. */
export interface PendingView {
  /** Where the picture is to be cut from the sample's image, before all else; the image is then one of `Batch.compressed`. */
  readonly crop?: PendingCrop;
  /** From left to right, on the levels 0..255 of the whole view or canvas. */
  readonly steps: readonly Step[];
  /** How to cut the canvas into patches afterwards. */
  readonly jigsaw?: JigsawPlan;
  /** How many times the picture is given afterwards, each time a quarter turn counter-clockwise further. */
  readonly turns?: 4;
}

/** Who does what a device can do. */
export type AugmentBy = 'worker' | 'device';

/** The views that workers write; see `deferredRecipe`. */
export type WrittenViews<Named extends Views, By extends AugmentBy> = { readonly [Name in keyof Named]: Written<Named[Name], By> };
type Written<V extends View, By extends AugmentBy> = By extends 'device' ? (V extends JigsawView | RotationsView ? ImageView : V) : V;

/** Cuts a plan in two: what the worker does, and what is left. A flip costs the crop nothing, so it is never left. */
export function defer({ crop, steps, jigsaw, turns }: PicturePlan): { readonly now: PicturePlan; readonly pending: PendingView } {
  const lastFlip = steps.findLastIndex(({ op }) => op === 'horizontalFlip');
  const last = steps.findLastIndex((step, i) => step.op === 'lab' || (isGeometric(step) && i < lastFlip));
  const isLateFlip = (step: Step, i: number): boolean => step.op === 'horizontalFlip' && i > last;
  const flips = steps.filter(isLateFlip);
  return {
    // Mirroring commutes with all that lies between here and there: what moves pixels before a flip is done by the worker.
    now: { crop, steps: [...steps.slice(0, last + 1), ...flips] },
    pending: {
      // A mask changes no pixel: there is nothing to be done.
      steps: steps.filter((step, i) => i > last && !isLateFlip(step, i) && step.op !== 'mask'),
      ...(jigsaw && { jigsaw }),
      ...(turns && { turns }),
    },
  };
}

/** The whole of a plan as what is left, of an image that is decoded elsewhere; undefined where a worker has to do more than cut and mirror. */
export function deferWhole(plan: PicturePlan): PendingView | undefined {
  const { now, pending } = defer(plan);
  if (now.steps.some(({ op }) => op !== 'horizontalFlip')) return undefined;
  return { crop: { ...now.crop, mirrored: now.steps.length % 2 === 1 }, ...pending };
}

/** The views that workers write for a device to finish: a jigsaw view is its uncut canvas, and of turns the picture is written once. */
export function deferredRecipe(recipe: Recipe): Recipe {
  return { ...recipe, views: Object.fromEntries(Object.entries(recipe.views).map(([name, view]) => [name, canvas(view)])) };
}

function canvas(view: View): View {
  if (view.kind !== 'jigsaw' && view.kind !== 'rotations') return view;
  const { crop, operations } = view;
  return { kind: 'image', size: pictureSide(view), crop, operations };
}
