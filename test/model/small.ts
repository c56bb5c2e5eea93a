/** A method small enough to step in milliseconds, and views for it. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '#dist/engine/index.js';
import { type Method, methodOptions } from '#dist/model/index.js';
import { DetCo, type DetCoOptions } from '#dist/model/methods/detco.js';
import { permutation } from '#dist/model/network/shuffle-bn.js';

export const N = 4;

/** Images in the order they come: ShuffleBN without a shuffle. */
export function straight(): NamedTensors {
  const order = Int32Array.of(0, 1, 2, 3);
  return { ...permutation('global', order), ...permutation('local', order) };
}

/** What follows an update, and then moves the pointer, as the trainer does it. */
export function settle(method: Method, carry: NamedTensors): void {
  const pointer = tf.scalar(method.host['pointer'] ?? Number.NaN, 'int32');
  method.settle(carry, { pointer });
  method.advance(N);
  pointer.dispose();
}

export function smallDetCo(engine: Engine, options: Partial<DetCoOptions> = {}, seed = 1): DetCo {
  const small = { arch: 'resnet18', width: 4, stem: 'small', hidden: 8, dim: 8, queueSize: 16, bnGroups: 1 } as const;
  return new DetCo(engine, methodOptions({ ...small, ...options, name: 'detco' }) as DetCoOptions, seed);
}

/** What the optimizer moves, by name. */
export function parametersOf(method: Method): Map<string, tf.Variable> {
  return new Map(method.parameters.flatMap(({ variables }) => [...variables]));
}

/** All tensors of a method, by section: `query.conv1.weight`. */
export function tensorsOf(method: Method): Map<string, tf.Variable> {
  const named = ([section, tensors]: [string, ReadonlyMap<string, tf.Variable>]) =>
    [...tensors].map(([name, tensor]) => [`${section}.${name}`, tensor] as const);
  return new Map(Object.entries(method.sections).flatMap(named));
}

export function randomViews(seed = 1): Record<'globalQ' | 'globalK', Tensor4D> & Record<'patchesQ' | 'patchesK', Tensor5D> {
  const images = (s: number): Tensor4D => tf.randomNormal([N, 16, 16, 3], 0, 1, 'float32', s);
  const patches = (s: number): Tensor5D => tf.randomNormal([N, 9, 12, 12, 3], 0, 1, 'float32', s);
  return { globalQ: images(seed), globalK: images(seed + 1), patchesQ: patches(seed + 2), patchesK: patches(seed + 3) };
}

/** The numbers of each tensor, by name. */
export function numbers(tensors: Readonly<Record<string, tf.Tensor>>): Record<string, number[]> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, [...tensor.dataSync()]]));
}
