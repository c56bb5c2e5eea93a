/** What losses are made of, `Engine.infoNce` and `Engine.similarities`, against float64 loops: part of the contract of every engine. */
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Engine } from '#dist/engine/index.js';
import { Random } from '#dist/common/random.js';
import { infoNce, product, transpose } from './reference.js';
import type { Array64 } from './reference.js';
import { expectClose, normal, toTensor } from './tensors.js';

/** Unit rows, rounded to what float32 holds. */
export function unitRows(random: Random, rows: number, width: number): Array64 {
  const array = normal(random, [rows, width]);
  for (let row = 0; row < rows; row++) {
    const values = array.data.subarray(row * width, (row + 1) * width);
    const length = Math.hypot(...values);
    values.forEach((value, i) => (values[i] = Math.fround(value / length)));
  }
  return array;
}

const matrix = (...rows: number[][]): tf.Tensor2D => tf.tensor2d(rows);

/** @param engine the engine of the moment: tests may start another */
export function testInfoNce(engine: () => Engine): void {
  describe('infoNce', () => {
    const value = (queries: tf.Tensor2D, keys: tf.Tensor2D, queue: tf.Tensor2D, temperature: number): number =>
      engine().infoNce(queries, keys, queue, temperature).dataSync()[0] ?? Number.NaN;

    const sizes = [1, 4, 7].flatMap((n) => [16, 96, 1000].flatMap((k) => [8, 128].map((d) => [n, k, d] as const)));
    test.each(sizes)('of %d queries against a queue of %d in %d dimensions', (n, k, d) => {
      const random = new Random(n, k, d);
      const [q, keys, queue] = [unitRows(random, n, d), unitRows(random, n, d), unitRows(random, k, d)];
      const expected = infoNce(q, keys, queue, 0.2);
      tf.tidy(() => {
        const run = (x: tf.Tensor): tf.Scalar =>
          engine().infoNce(x as tf.Tensor2D, toTensor<tf.Rank.R2>(keys), toTensor<tf.Rank.R2>(queue), 0.2);
        expectClose(run(toTensor(q)), { shape: [], data: Float64Array.of(expected.loss) }, 2e-6);
        // Times three: the gradient of what follows the loss reaches the queries.
        const gradient = tf.grad((x) => tf.mul(run(x), 3))(toTensor(q));
        const largest = expected.gradient.data.reduce((peak, slope) => Math.max(peak, Math.abs(slope)), 0);
        const [actual, wanted] = [tf.div(gradient, 3 * largest), expected.gradient.data.map((slope) => slope / largest)];
        expectClose(actual, { shape: [n, d], data: wanted }, 2e-5);
      });
    });

    test('stays finite where exp(1 / temperature) overflows float32', () => {
      tf.tidy(() => {
        const [q, opposite] = [matrix([1, 0]), matrix([-1, 0])];
        expect(value(q, opposite, q, 0.01)).toBeCloseTo(200, 3);
        expect(value(q, q, opposite, 0.01)).toBeCloseTo(0, 6);
      });
    });

    test('of a query equal to every key is log(1 + K)', () => {
      tf.tidy(() => {
        const rows = matrix([1, 0]);
        expect(value(rows, rows, tf.tile(rows, [7, 1]), 0.2)).toBeCloseTo(Math.log(8), 6);
      });
    });

    test('gives no gradient to keys and queue', () => {
      tf.tidy(() => {
        const rows = matrix([1, 0]);
        expect(() => tf.grad((keys) => engine().infoNce(rows, keys as tf.Tensor2D, rows, 0.2))(rows.clone())).toThrow(
          'Cannot compute gradient',
        );
        expect(() => tf.grad((queue) => engine().infoNce(rows, rows, queue as tf.Tensor2D, 0.2))(rows.clone())).toThrow(
          'Cannot compute gradient',
        );
      });
    });

    test('refuses shapes that do not meet, and says why', () => {
      tf.tidy(() => {
        const [q, queue] = [tf.zeros<tf.Rank.R2>([2, 4]), tf.zeros<tf.Rank.R2>([8, 4])];
        expect(() => engine().infoNce(q, tf.zeros([3, 4]), queue, 0.2)).toThrow('queries [2,4] and keys [3,4]');
        expect(() => engine().infoNce(q, q, tf.zeros([8, 5]), 0.2)).toThrow('queue of shape [8,5]: expected [K, 4]');
        expect(() => engine().infoNce(q, q, queue, 0)).toThrow('temperature 0: expected a number above 0');
      });
    });
  });
}

/** Sums of some tens of products, relative to the largest; a GPU may round operands to TF32 where it is not to compute in fp32. */
const PRODUCTS = { float32: 2e-6, tf32: 1e-3 };

export function testSimilarities(engine: () => Engine): void {
  describe('similarities', () => {
    const expectProducts = (actual: tf.Tensor, expected: Array64): void =>
      expectClose(actual, expected, engine().device === 'cpu' || engine().precision === 'fp32' ? PRODUCTS.float32 : PRODUCTS.tf32);
    const run = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => engine().similarities(a as tf.Tensor2D, b as tf.Tensor2D);

    test('of rows, and their gradients', () => {
      const random = new Random(41);
      const [a, b, ds] = [normal(random, [9, 64]), normal(random, [20, 64]), normal(random, [9, 20])];
      tf.tidy(() => {
        expectProducts(run(toTensor(a), toTensor(b)), product(a, transpose(b)));
        const [da, db] = tf.grads(run)([toTensor(a), toTensor(b)], toTensor(ds)) as [tf.Tensor, tf.Tensor];
        expectProducts(da, product(ds, b));
        expectProducts(db, product(transpose(ds), a));
      });
    });

    test('of rows with themselves: the gradient is that of both sides', () => {
      const random = new Random(42);
      const [a, ds] = [normal(random, [6, 16]), normal(random, [6, 6])];
      const [left, right] = [product(ds, a), product(transpose(ds), a)];
      tf.tidy(() => {
        const gradient = tf.grad((x) => run(x, x))(toTensor(a), toTensor(ds));
        expectProducts(gradient, { shape: a.shape, data: left.data.map((value, i) => value + (right.data[i] ?? Number.NaN)) });
      });
    });

    test('of stacks, and their gradients', () => {
      const random = new Random(43);
      const [a, b, ds] = [3, 3, 3].map((count, i) => normal(random, [count, i === 1 ? 5 : 4, i === 2 ? 5 : 16])) as [
        Array64,
        Array64,
        Array64,
      ];
      const each = (stack: Array64, i: number): Array64 => {
        const [, rows = 0, columns = 0] = stack.shape;
        return { shape: [rows, columns], data: stack.data.subarray(i * rows * columns, (i + 1) * rows * columns) };
      };
      tf.tidy(() => {
        const products = run(toTensor(a), toTensor(b));
        const [da, db] = tf.grads(run)([toTensor(a), toTensor(b)], toTensor(ds)) as [tf.Tensor, tf.Tensor];
        for (let i = 0; i < 3; i++) {
          const one = (stack: tf.Tensor): tf.Tensor => tf.squeeze(tf.slice(stack, [i, 0, 0], [1, -1, -1]), [0]);
          expectProducts(one(products), product(each(a, i), transpose(each(b, i))));
          expectProducts(one(da), product(each(ds, i), each(b, i)));
          expectProducts(one(db), product(transpose(each(ds, i)), each(a, i)));
        }
      });
    });

    test('refuse rows that do not meet, and say why', () => {
      tf.tidy(() => {
        const expected = 'expected [n, D] and [m, D], or stacks of as many';
        expect(() => run(tf.zeros([2, 4]), tf.zeros([3, 5]))).toThrow(`similarities of rows [2,4] and [3,5]: ${expected}`);
        expect(() => run(tf.zeros([2, 3, 4]), tf.zeros([1, 3, 4]))).toThrow(`similarities of rows [2,3,4] and [1,3,4]: ${expected}`);
        expect(() => run(tf.zeros([4]), tf.zeros([4]))).toThrow(`similarities of rows [4] and [4]: ${expected}`);
      });
    });
  });
}
