/**
 * The operations that a pipeline with `augment: 'device'` leaves to the engine.
 *
 * Same recipe, same draws as the workers' kernels; pixels agree with theirs to a level or two.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { PendingView, Step } from '../pipeline/index.js';
import type { Engine, PictureStep } from '../engine/index.js';
import { isPictureStep, PICTURE_OPERATIONS } from '../engine/picture-step.js';

type Images = tf.Tensor4D;

/**
 * Finishes one view of a batch.
 *
 * @param levels what `engine.upload` gave for the view as 'levels', [N, H, W, 3]; of a multicrop view [N, crops, H, W, 3]
 * @param pending what is left to do to each of the N samples, or N x crops pictures
 * @param engine that did the upload
 * @returns normalised images in the shape in which they came; for a jigsaw view patches [N, 9, P, P, 3], for one of rotations [N, 4, H, W, 3]
 */
export function augmentOnDevice(
  levels: Images | tf.Tensor5D,
  pending: readonly PendingView[],
  engine: Pick<Engine, 'augment'>,
): tf.Tensor4D | tf.Tensor5D {
  return tf.tidy(() => {
    if (isMultiCrop(levels)) {
      const [, , ...picture] = levels.shape;
      const pictures = tf.reshape<tf.Rank.R4>(levels, [pending.length, ...picture]);
      return tf.reshape<tf.Rank.R5>(augmentOnDevice(pictures, pending, engine), levels.shape);
    }
    const done = engine.augment(
      levels,
      pending.map(({ steps }) => steps.map(ofPicture)),
    );
    const plans = pending.flatMap(({ jigsaw }) => jigsaw ?? []);
    if (plans.length > 0) return cutPatches(done, plans);
    return pending.some(({ turns }) => turns) ? quarterTurns(done) : done;
  });
}

function isMultiCrop(images: Images | tf.Tensor5D): images is tf.Tensor5D {
  return images.rank === 5;
}

function ofPicture(step: Step): PictureStep {
  if (isPictureStep(step)) return step;
  throw new Error(`The operation "${step.op}" cannot be left to the device; expected one of ${PICTURE_OPERATIONS.join(', ')}`);
}

/** Squares [N, S, S, 3] to their turns, counter-clockwise, [N, 4, S, S, 3]. */
function quarterTurns(images: Images): tf.Tensor5D {
  const turns = [images];
  for (let turn = 1; turn < 4; turn++) turns.push(tf.reverse(tf.transpose(turns[turn - 1] as Images, [0, 2, 1, 3]), 1));
  return tf.stack(turns, 1) as tf.Tensor5D;
}

/** Cuts [N, 3 cell, 3 cell, 3] canvases into [N, 9, P, P, 3]. */
function cutPatches(canvases: Images, plans: readonly NonNullable<PendingView['jigsaw']>[]): tf.Tensor5D {
  const patches = plans.map(({ patchSize, cell, order, offsets }, row) =>
    tf.stack(
      order.map((from) => {
        const [x, y] = offsets[from] ?? [0, 0];
        const top = Math.floor(from / 3) * cell + y;
        return tf.squeeze(tf.slice(canvases, [row, top, (from % 3) * cell + x, 0], [1, patchSize, patchSize, 3]), [0]);
      }),
    ),
  );
  return tf.stack(patches) as tf.Tensor5D;
}
