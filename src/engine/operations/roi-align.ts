/**
 * RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3) of one box for each map, as torchvision's `roi_align` with `aligned=True` has it.
 *
 * Bilinear samples are separable: a bin is a weighted sum of rows, and of columns, so it is two products with matrices of weights,
 *
 *   wy [N, P, H] . map [N, H, W, C] . wx [N, P, W]  ->  [N, P, P, C],
 *
 * and the gradient in the map is that of the products. The weights are made of the boxes on the device: boxes are inputs of a recorded step.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';

export interface RoiAlignOptions {
  /** Bins on each side, P. */
  readonly size: number;
  /** Pixels of the image for each cell of the map, on both sides. */
  readonly stride: number;
  /** Samples of each bin on each side; `adaptive` takes one for each cell that the bin reaches over. */
  readonly samples: number | 'adaptive';
}

/**
 * @param map [N, H, W, C]
 * @param boxes [N, 4], one for each map: left, top, right and bottom, pixels of the image. With `adaptive` samples none is larger than it.
 * @returns [N, P, P, C]; a gradient flows to the map, none to the boxes
 * @throws RangeError for boxes of another number than maps
 */
export function roiAlign(map: Tensor4D, boxes: Tensor2D, { size, stride, samples }: RoiAlignOptions): Tensor4D {
  const [count, height, width, channels] = map.shape;
  if (boxes.shape[0] !== count || boxes.shape[1] !== 4)
    throw new RangeError(
      `RoIAlign of boxes [${boxes.shape}] in maps [${map.shape}]: expected one box [left, top, right, bottom] for each map`,
    );
  return tf.tidy(() => {
    // The centre of a cell is half a cell from its edge: that is what `aligned` means.
    const [left, top, right, bottom] = tf.unstack(tf.div(boxes, stride), 1) as [Tensor1D, Tensor1D, Tensor1D, Tensor1D];
    const wy = weights(top, bottom, { size, samples, cells: height });
    const wx = weights(left, right, { size, samples, cells: width });
    const rows: Tensor3D = tf.matMul(wy, tf.reshape(map, [count, height, width * channels]));
    // Of each bin's row its own columns: the weights of a box stand once for each of its rows.
    const columns = tf.reshape(tf.tile(tf.expandDims(wx, 1), [1, size, 1, 1]), [count * size, size, width]);
    const bins: Tensor3D = tf.matMul(columns as Tensor3D, tf.reshape(rows, [count * size, width, channels]));
    return tf.reshape(bins, [count, size, size, channels]);
  });
}

/** What each cell of an axis counts in each bin: [N, P, cells], for boxes that begin and end there, [N], in cells. */
function weights(
  begin: Tensor1D,
  end: Tensor1D,
  { size, samples, cells }: Pick<RoiAlignOptions, 'size' | 'samples'> & { readonly cells: number },
): Tensor3D {
  const most = samples === 'adaptive' ? Math.ceil(cells / size) : samples;
  const along = (axis: number, length: number): Tensor4D => {
    const shape: [number, number, number, number] = [1, 1, 1, 1];
    shape[axis] = length;
    return tf.reshape(tf.range(0, length), shape);
  };
  const perBox = (x: Tensor1D): Tensor4D => tf.reshape(x, [-1, 1, 1, 1]);
  const bin = perBox(tf.div(tf.sub(end, begin), size)); // cells
  const taken = samples === 'adaptive' ? tf.clipByValue(tf.ceil(bin), 1, most) : samples;
  const sample = along(2, most);
  // [N, P, samples, 1], from the centre of the first cell
  const within = tf.mul(bin, tf.add(along(1, size), tf.div(tf.add(sample, 0.5), taken)));
  const at = tf.sub(tf.add(perBox(begin), within), 0.5);
  // Beyond the border the last cell goes on for a cell, and then there is nothing.
  const counts = tf.logicalAnd(tf.less(sample, taken), tf.logicalAnd(tf.greaterEqual(at, -1), tf.lessEqual(at, cells)));
  const distance = tf.abs(tf.sub(tf.clipByValue(at, 0, cells - 1), along(3, cells)));
  const share = tf.div(tf.mul(tf.relu(tf.sub(1, distance)), tf.cast(counts, 'float32')), taken);
  return tf.sum(share, 2);
}
