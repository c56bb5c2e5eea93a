/**
 * How the pictures of a batch were made. Workers do not tell it: what they drew depends on the sample and the view's name
 * alone, so it is drawn once more when somebody asks.
 */
import { type Box, drawSample, type JigsawPlan, type PicturePlan, type Placed, type Size, type Step } from '../augment/parameters.js';
import type { Recipe, View } from '../augment/recipe.js';
import { streamId } from '../../common/random.js';
import type { RowRecord } from './slots.js';

/** How one picture of a view was made: what was cut out of which image, and all that was done to it. */
export interface DrawnPicture {
  /** Size of the whole image, pixels, as it lies in its file: EXIF orientation is ignored. */
  readonly image: Size;
  /** What was resized to the picture, in pixels of the image; whole ones, but for a view with `centerCrop`. */
  readonly box: Box;
  /** Whether the picture is mirrored, left to right. */
  readonly flipped: boolean;
  /** All operations with their parameters, flips too, from the first to the last. Those of RandAugment may turn, shear or move the picture. */
  readonly steps: readonly Step[];
  /** How the picture was cut into patches. */
  readonly jigsaw?: JigsawPlan;
  /** Where in a view of kind `placed` the crop lies, in the picture as it is given, mirrored or not. */
  readonly placed?: Placed;
  /** What a method is to hide, pixels of the picture. */
  readonly masks?: readonly Box[];
}

/** Of each view the pictures of all samples, in the order of its `data`. */
export function drawnPictures(
  { views }: Recipe,
  { seed, epoch }: { readonly seed: number; readonly epoch: number },
  records: readonly Pick<RowRecord, 'image' | 'shard' | 'index'>[],
): Record<string, readonly DrawnPicture[]> {
  const pictures = Object.entries(views).map(([name, view]) => {
    const stream = streamId(name);
    const ofSample = ({ image, shard, index }: (typeof records)[number]): DrawnPicture[] =>
      drawSample(view, stream, image, { seed, epoch, shard, index }).map((plan) => drawnPicture(view, image, plan));
    return [name, records.flatMap(ofSample)] as const;
  });
  return Object.fromEntries(pictures);
}

function drawnPicture(view: View, image: Size, { crop, steps, jigsaw, placed }: PicturePlan): DrawnPicture {
  const { window, left, top, scaleX, scaleY, size } = crop;
  const flipped = steps.filter(({ op }) => op === 'horizontalFlip').length % 2 === 1;
  const masks = steps.flatMap((step) =>
    step.op === 'mask' ? [{ left: step.left, top: step.top, width: step.width, height: step.height }] : [],
  );
  return {
    image,
    // A centred crop may use pixels around its box, and the box lies between pixels.
    box: view.crop.op === 'centerCrop' ? { left, top, width: scaleX * size, height: scaleY * size } : window,
    flipped,
    steps,
    ...(jigsaw && { jigsaw }),
    ...(placed && { placed: flipped ? { ...placed, left: size - placed.left - placed.width } : placed }),
    ...(masks.length > 0 && { masks }),
  };
}
