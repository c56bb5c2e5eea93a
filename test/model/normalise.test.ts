import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import { l2Normalise } from '#dist/model/network/normalise.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

describe('l2Normalise', () => {
  test('gives unit rows and the gradient that moves along the sphere', () => {
    const x = tf.tensor2d([
      [3, 4],
      [0, 0],
    ]);
    const y = l2Normalise(x).dataSync();
    [0.6, 0.8, 0, 0].forEach((value, i) => expect(y[i]).toBeCloseTo(value, 6));
    // d y_0 / d x = (1 - .36, -.48) / 5
    const gradient = tf
      .grad((rows) => tf.sum(tf.slice(l2Normalise(rows as tf.Tensor2D), [0, 0], [1, 1])))(tf.tensor2d([[3, 4]]))
      .dataSync();
    expect(gradient[0]).toBeCloseTo(0.128, 6);
    expect(gradient[1]).toBeCloseTo(-0.096, 6);
  });
});
