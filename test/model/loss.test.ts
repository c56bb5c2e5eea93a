import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import { infoNce } from '#dist/model/loss.js';
import { l2Normalise } from '#dist/model/heads.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

/** -log softmax of the first logit, in float64. */
function crossEntropy(logits: readonly number[]): number {
  return Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - (logits[0] as number);
}

describe('infoNce', () => {
  test('equals hand-computed values', () => {
    const q = tf.tensor2d([
      [1, 0],
      [0.6, 0.8],
    ]);
    const k = tf.tensor2d([
      [0, 1],
      [0.6, 0.8],
    ]);
    const queue = tf.tensor2d([
      [1, 0],
      [0, -1],
      [-0.8, 0.6],
    ]);
    // logits / tau, positive first: (0, 1, 0, -.8) and (1, .6, -.8, 0)
    const expected = (crossEntropy([0, 2, 0, -1.6]) + crossEntropy([2, 1.2, -1.6, 0])) / 2;
    expect(infoNce(q, k, queue, 0.5).dataSync()[0]).toBeCloseTo(expected, 6);
  });

  test('a query equal to every key costs log(1 + K)', () => {
    const rows = tf.tensor2d([[1, 0]]);
    const loss = infoNce(rows, rows, tf.tile(rows, [7, 1]), 0.2);
    expect(loss.dataSync()[0]).toBeCloseTo(Math.log(8), 6);
  });

  test('stays finite where exp(1 / temperature) overflows float32', () => {
    const [q, opposite] = [tf.tensor2d([[1, 0]]), tf.tensor2d([[-1, 0]])];
    expect(infoNce(q, opposite, q, 0.01).dataSync()[0]).toBeCloseTo(200, 3);
    expect(infoNce(q, q, opposite, 0.01).dataSync()[0]).toBeCloseTo(0, 6);
  });

  test('has the gradient of its finite differences, and none for keys and queue', () => {
    const [q, k, queue] = [
      [3, 4],
      [3, 4],
      [6, 4],
    ].map(([n, d], i) => l2Normalise(tf.randomNormal([n ?? 0, d ?? 0], 0, 1, 'float32', i + 1)));
    if (!q || !k || !queue) throw new Error('unreachable');
    const loss = (x: tf.Tensor): tf.Scalar => infoNce(x as tf.Tensor2D, k as tf.Tensor2D, queue as tf.Tensor2D, 0.2);
    const gradient = tf.grad(loss)(q).dataSync();
    const at = q.dataSync();
    const h = 1e-2;
    gradient.forEach((slope, i) => {
      const shifted = (by: number): number => {
        const moved = Float32Array.from(at);
        moved[i] = (moved[i] ?? 0) + by;
        return loss(tf.tensor2d(moved, [3, 4])).dataSync()[0] ?? Number.NaN;
      };
      expect(slope).toBeCloseTo((shifted(h) - shifted(-h)) / (2 * h), 2);
    });
    expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0.1);
    expect(() => tf.grad((x) => infoNce(q as tf.Tensor2D, x as tf.Tensor2D, queue as tf.Tensor2D, 0.2))(k)).toThrow(
      'Cannot compute gradient',
    );
  });
});

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
