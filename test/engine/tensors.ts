/** Reproducible tensors and their comparison with float64 arrays. */
import { expect } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { Random } from '#dist/common/random.js';
import { zeros } from './reference.js';
import type { Array64 } from './reference.js';

/** Normal values that float32 holds exactly, so that reference and engine see the same numbers. */
export function normal(random: Random, shape: readonly number[], mean = 0, deviation = 1): Array64 {
  const array = zeros(shape);
  for (const i of array.data.keys()) array.data[i] = Math.fround(random.normal(mean, deviation));
  return array;
}

export function toTensor<R extends tf.Rank = tf.Rank>(array: Array64): tf.Tensor<R> {
  return tf.tensor(Float32Array.from(array.data), [...array.shape] as tf.ShapeMap[R], 'float32');
}

export function variable(array: Array64): tf.Variable {
  const tensor = toTensor(array);
  const result = tf.variable(tensor, true);
  tensor.dispose();
  return result;
}

/** Passes when no element is further off than `tolerance` times the largest expected magnitude (at least 1). */
export function expectClose(actual: tf.Tensor, expected: Array64, tolerance: number): void {
  expect(actual.shape).toEqual(expected.shape);
  const values = actual.dataSync();
  const largest = expected.data.reduce((peak, value) => Math.max(peak, Math.abs(value)), 1);
  let worst = { error: 0, at: -1 };
  for (const [i, value] of expected.data.entries()) {
    const error = Math.abs((values[i] ?? Number.NaN) - value) / largest;
    if (!(error <= worst.error)) worst = { error, at: i };
  }
  if (!(worst.error <= tolerance)) {
    throw new Error(`element ${worst.at}: got ${values[worst.at]}, expected ${expected.data[worst.at]} within ${tolerance} of ${largest}`);
  }
}
