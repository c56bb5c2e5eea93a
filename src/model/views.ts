/** What one step takes: the views of a batch, and the permutations of its keys. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import { PATCHES } from './heads.js';
import type { Kind } from './heads.js';
import type { MethodOptions } from './options.js';

/** The views of one step, normalised float32. Patches are needed by the terms ll and gl, their keys by ll alone. */
export interface StepViews {
  readonly globalQ: Tensor4D;
  readonly globalK: Tensor4D;
  readonly patchesQ?: Tensor5D;
  readonly patchesK?: Tensor5D;
}

/** A permutation of images and the way back, int32 [N]: row i is image order[i], and image j is row inverse[j]. */
export interface Permutation {
  readonly order: Tensor1D;
  readonly inverse: Tensor1D;
}

/** ShuffleBN: the order in which the key encoder sees the images of each kind of view. */
export interface KeyPermutations {
  readonly global: Permutation;
  readonly local?: Permutation;
}

/** Puts a permutation of 0..N-1 on the device. */
export function permutation(order: Int32Array): Permutation {
  return { order: tf.tensor1d(order, 'int32'), inverse: tf.tensor1d(inverse(order), 'int32') };
}

/** The images of one view, checked. */
export function viewOf(views: StepViews, kind: Kind, side: 'Q' | 'K', { bnGroups }: MethodOptions): Tensor4D | Tensor5D {
  const name = `${kind === 'global' ? 'global' : 'patches'}${side}` as const;
  const images = views[name];
  if (!images) throw new TypeError(`The view "${name}" is missing: the terms ll and gl need patchesQ, ll patchesK too`);
  if (kind === 'local' && images.shape[1] !== PATCHES) {
    throw new RangeError(`The view "${name}" is [${images.shape.join(', ')}]; expected [N, ${PATCHES}, h, w, 3]`);
  }
  if (images.shape[0] % bnGroups !== 0) {
    throw new RangeError(`A batch of ${images.shape[0]} does not divide into bnGroups = ${bnGroups}; change either`);
  }
  return images;
}

/** The order in which the key encoder sees the images of one kind, checked. */
export function permutationOf(permutations: KeyPermutations, kind: Kind, images: Tensor): Permutation {
  const found = permutations[kind];
  if (found?.order.size === images.shape[0]) return found;
  throw new RangeError(`The ${kind} permutation has ${found?.order.size ?? 0} entries; expected one for each of ${images.shape[0]} images`);
}

/** Patch sets [N, 9, h, w, 3] as one batch [9N, h, w, 3], image-major. */
export function asImages(images: Tensor): Tensor4D {
  return tf.reshape(images, [-1, ...images.shape.slice(-3)] as [number, number, number, number]);
}

/** order[i] = j  ->  inverse[j] = i (ShuffleBN's un-permutation). */
export function inverse(order: Int32Array): Int32Array {
  const back = new Int32Array(order.length);
  order.forEach((image, row) => (back[image] = row));
  return back;
}
