/** A method small enough to step in milliseconds, and views for it. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import { ContrastiveMethod, methodOptions, permutation } from '#dist/model/index.js';
import type { Engine } from '#dist/engine/index.js';
import type { KeyPermutations, Keys, StepViews } from '#dist/model/index.js';

export const N = 4;

/** Images in the order they come: ShuffleBN without a shuffle. */
export function straight(): Required<KeyPermutations> {
  return { global: permutation(Int32Array.of(0, 1, 2, 3)), local: permutation(Int32Array.of(0, 1, 2, 3)) };
}

/** Enqueues and moves the pointer, as the trainer does. */
export function enqueue(method: ContrastiveMethod, keys: Keys): void {
  const pointer = tf.scalar(method.queuePointer, 'int32');
  method.enqueue(keys, pointer);
  method.advance(N);
  pointer.dispose();
}

export function smallMethod(engine: Engine, options: Parameters<typeof methodOptions>[0] = {}, seed = 1): ContrastiveMethod {
  const small = { arch: 'resnet18', width: 4, stem: 'small', hidden: 8, dim: 8, queueSize: 16, bnGroups: 1 } as const;
  return ContrastiveMethod.create(engine, methodOptions({ ...small, ...options }), seed);
}

export function randomViews(seed = 1): Required<StepViews> {
  const images = (s: number): Tensor4D => tf.randomNormal([N, 16, 16, 3], 0, 1, 'float32', s);
  const patches = (s: number): Tensor5D => tf.randomNormal([N, 9, 12, 12, 3], 0, 1, 'float32', s);
  return { globalQ: images(seed), globalK: images(seed + 1), patchesQ: patches(seed + 2), patchesK: patches(seed + 3) };
}

/** The numbers of each tensor, by name. */
export function numbers(tensors: Readonly<Record<string, tf.Tensor>>): Record<string, number[]> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, [...tensor.dataSync()]]));
}
