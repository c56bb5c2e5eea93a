/** Geometry of pooling and convolution that TensorFlow.js allows and LibTorch does not take as it is. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import { Random } from '#dist/common/random.js';
import { whereAvailable } from './available.js';
import { convolution, maxPool, zeros } from './reference.js';
import { expectClose, normal, toTensor } from './tensors.js';

const torch = await whereAvailable('torch');

torch.describe(`geometry that LibTorch does not take, on the engine torch${torch.note}`, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await selectEngine('torch');
  });
  afterAll(() => engine.dispose());

  test('max pool and its gradient: padding of more than half of the window', () => {
    const random = new Random(7);
    const x = normal(random, [1, 7, 6, 2]);
    const run = (v: tf.Tensor): tf.Tensor => tf.maxPool(v as tf.Tensor4D, 3, 3, 2);
    tf.tidy(() => {
      const y = run(toTensor(x));
      const dy = normal(random, [1, 3, 3, 2]);
      const expected = maxPool(x, dy, 3, { stride: 3, padTop: 2, padLeft: 2 });
      expectClose(y, expected.y, 0);
      expectClose(tf.grad(run)(toTensor(x), toTensor(dy)), expected.dx, 1e-6);
    });
  });

  // TensorFlow.js does not tell its gradients how sizes were rounded, so there are none.
  test('max pool and convolution: output sizes rounded up', () => {
    const random = new Random(8);
    const [x, filter] = [normal(random, [2, 8, 7, 3]), normal(random, [2, 2, 3, 4])];
    const window = { stride: 3, padTop: 0, padLeft: 0 };
    tf.tidy(() => {
      const input = toTensor<tf.Rank.R4>(x);
      expectClose(tf.maxPool(input, 2, 3, 0, 'ceil'), maxPool(x, zeros([2, 3, 3, 3]), 2, window).y, 0);
      const y = tf.conv2d(input, toTensor<tf.Rank.R4>(filter), 3, 0, 'NHWC', 1, 'ceil');
      expectClose(y, convolution(x, filter, zeros([2, 3, 3, 4]), window).y, 1e-6);
    });
  });

  test('a transposed convolution reads as much as its output would give', () => {
    const random = new Random(9);
    const [x, filter] = [normal(random, [1, 4, 5, 3]), normal(random, [3, 3, 2, 3])];
    tf.tidy(() => {
      const all = toTensor<tf.Rank.R4>(x);
      const run = (images: tf.Tensor4D): tf.Tensor => tf.conv2dTranspose(images, toTensor<tf.Rank.R4>(filter), [1, 3, 3, 2], 1, 'same');
      const part = run(tf.slice(all, [0, 0, 0, 0], [1, 3, 3, 3]));
      expect([...run(all).dataSync()]).toEqual([...part.dataSync()]);
    });
  });
});
