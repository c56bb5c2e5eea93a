/** An engine's own operations against their compositions of TensorFlow.js operations, on the same engine. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, IMAGE_STD, type PictureStep } from '#dist/engine/index.js';
import { compositions, type Operations } from '#dist/engine/operations/index.js';
import { roiAlign, type RoiAlignOptions } from '#dist/engine/operations/roi-align.js';
import { Random } from '#dist/common/random.js';
import { expectClose, normal, toTensor, variable as makeVariable } from './tensors.js';

/** Sums of some hundred float32 products, relative to the largest. */
const SUMS = 5e-6;

/** Made by fixtures/golden/roi_align.py. */
const golden = JSON.parse(readFileSync(new URL('../../fixtures/golden/roi-align.json', import.meta.url), 'utf8')) as {
  readonly stride: number;
  readonly shape: [number, number, number, number];
  readonly map: number[];
  readonly boxes: number[][];
  readonly cases: readonly (Omit<RoiAlignOptions, 'stride'> & Readonly<Record<'y' | 'dy' | 'dx', number[]>>)[];
};

export function testOperations(engine: () => Engine): void {
  describe("RoIAlign and its gradient are torchvision's", () => {
    const { stride, shape, boxes } = golden;
    test.each(golden.cases)('$size x $size bins, samples: $samples', ({ size, samples, y, dy, dx }) =>
      tf.tidy(() => {
        const out: [number, number, number, number] = [shape[0], size, size, shape[3]];
        const align = (map: tf.Tensor) => roiAlign(map as tf.Tensor4D, tf.tensor2d(boxes), { size, stride, samples });
        const { value, grad } = tf.valueAndGrad((map) => align(map))(tf.tensor4d(golden.map, shape), tf.tensor4d(dy, out));
        expectClose(value, { shape: out, data: Float64Array.from(y) }, 1e-6);
        expectClose(grad, { shape, data: Float64Array.from(dx) }, 1e-6);
      }),
    );

    test('a box for each map', () => {
      tf.tidy(() => {
        const align = () => roiAlign(tf.zeros([3, 4, 4, 2]), tf.zeros([2, 4]), { size: 2, stride: 8, samples: 2 });
        expect(align).toThrow('RoIAlign of boxes [2,4] in maps [3,4,4,2]: expected one box [left, top, right, bottom] for each map');
      });
    });
  });

  describe('operations agree with their compositions', () => {
    const random = new Random(34);
    const made: tf.Variable[] = [];
    const variable = (values: Parameters<typeof makeVariable>[0]): tf.Variable => {
      const one = makeVariable(values);
      made.push(one);
      return one;
    };
    afterEach(() => tf.dispose(made.splice(0)));

    /** Runs with both, and expects the same tensors. */
    const same = (run: (operations: Operations) => tf.Tensor[]): void =>
      tf.tidy(() => {
        const [own, composed] = [run(engine()), run(compositions)];
        expect(own.length).toBeGreaterThan(0);
        composed.forEach((tensor, i) =>
          expectClose(own[i] as tf.Tensor, { shape: tensor.shape, data: Float64Array.from(tensor.dataSync()) }, SUMS),
        );
      });

    test.each([
      ['[N, H, W, C]', [6, 3, 2, 5], false, false],
      ['[N, C]', [8, 7], false, false],
      ['with ReLU', [6, 3, 2, 5], true, false],
      ['with a residual and ReLU', [6, 3, 2, 5], true, true],
      ['with a residual', [6, 3, 2, 5], false, true],
    ] as const)('groupedBatchNorm and its gradients: %s', (_what, shape, relu, residual) => {
      const channels = shape.at(-1) ?? 0;
      const values = [normal(random, shape), normal(random, [channels]), normal(random, [channels]), normal(random, shape)];
      const dy = normal(random, shape);
      same(({ groupedBatchNorm }) => {
        const inputs = values.map((value) => toTensor(value));
        const run = (x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, added: tf.Tensor) =>
          groupedBatchNorm(x, scale, offset, { groups: 2, epsilon: 1e-5, relu, ...(residual && { residual: added }) });
        const [x, scale, offset, added] = inputs as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
        const { y, mean, variance } = run(x, scale, offset, added);
        const gradients = tf.grads((...given) => run(...(given as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor])).y);
        return [y, mean, variance, ...gradients(residual ? inputs : inputs.slice(0, 3), toTensor(dy))];
      });
    });

    test('augment, within a level', () => {
      const [height, width] = [19, 23];
      const steps: readonly PictureStep[] = [
        { op: 'sharpness', factor: 1.8 },
        { op: 'brightness', factor: 0.7 },
        { op: 'contrast', factor: 1.4 },
        { op: 'saturation', factor: 1.9 },
        { op: 'gaussianBlur', sigma: 0.4 },
        { op: 'solarizeAdd', add: 90, threshold: 128 },
        { op: 'autoContrast' },
        { op: 'gaussianBlur', sigma: 2 },
        { op: 'posterize', bits: 4 },
        { op: 'hue', shift: -0.07 },
        { op: 'grayscale' },
        { op: 'invert' },
        { op: 'equalize' },
        { op: 'rotate', degrees: 17 },
        { op: 'shearX', shear: -0.2 },
        { op: 'translateY', fraction: 0.13 },
        { op: 'solarize', threshold: 100 },
      ];
      const lists = [[], ...steps.flatMap((step, i) => [[step], steps.slice(i, i + 3)])];
      const levels = Float32Array.from({ length: lists.length * height * width * 3 }, () => 20 + random.below(200));
      tf.tidy(() => {
        const pictures = tf.tensor4d(levels, [lists.length, height, width, 3]);
        const [own, composed] = [engine().augment(pictures, lists), compositions.augment(pictures, lists)];
        expect(own.shape).toEqual(composed.shape);
        const distance = tf.mul<tf.Tensor4D>(tf.abs(tf.sub(own, composed)), tf.mul(IMAGE_STD, 255));
        // A sum in another order may be cut or rounded to the next level; posterize, hue and solarize may make more of that, in few pixels.
        const means = tf.mean(distance, [1, 2, 3]).arraySync() as number[];
        lists.forEach((list, i) => expect({ list, near: (means[i] ?? Number.NaN) < 0.1 }).toEqual({ list, near: true }));
        const singles = lists.flatMap((list, i) => (list.length === 1 ? [i] : []));
        expect(tf.max(tf.gather(distance, singles)).dataSync()[0]).toBeLessThan(1.01);
        expect(() => engine().augment(pictures, lists.slice(1))).toThrow(
          `${lists.length - 1} lists of steps for pictures [${pictures.shape}]: expected ${lists.length}, one for each picture`,
        );
      });
    });

    test('infoNce and its gradient', () => {
      const unit = (rows: number) => tf.tidy(() => tf.div(toTensor(normal(random, [rows, 6])), 3) as tf.Tensor2D);
      const [queries, keys, queue] = [unit(5), unit(5), unit(40)];
      same(({ infoNce }) => {
        const { value, grad } = tf.valueAndGrad((q) => infoNce(q as tf.Tensor2D, keys, queue, 0.2))(queries);
        return [value, grad];
      });
      tf.dispose([queries, keys, queue]);
    });

    test('similarities and their gradients', () => {
      const [a, b, ds] = [normal(random, [5, 6]), normal(random, [7, 6]), normal(random, [5, 7])].map((array) => toTensor(array));
      const inputs = [a, b] as [tf.Tensor2D, tf.Tensor2D];
      same(({ similarities }) => [
        similarities(...inputs),
        ...tf.grads((...given) => similarities(...(given as [tf.Tensor2D, tf.Tensor2D])))(inputs, ds),
      ]);
      tf.dispose([a, b, ds] as tf.Tensor[]);
    });

    test('infoNce of more rows than are held at once', () => {
      const rows = (count: number) => tf.tidy(() => tf.div(toTensor(normal(random, [count, 4])), 3) as tf.Tensor2D);
      const [queries, keys, queue] = [rows(1030), rows(1030), rows(1 << 15)];
      const slice = (x: tf.Tensor2D, first: number, size: number) => tf.slice(x, [first, 0], [size, 4]);
      tf.tidy(() => {
        const whole = tf.grad((q) => compositions.infoNce(q as tf.Tensor2D, keys, queue, 0.2))(queries);
        const part = tf.grad((q) => compositions.infoNce(q as tf.Tensor2D, slice(keys, 1020, 10), queue, 0.2))(slice(queries, 1020, 10));
        const expected = tf.mul(part, 10 / 1030);
        expectClose(slice(whole as tf.Tensor2D, 1020, 10), { shape: [10, 4], data: Float64Array.from(expected.dataSync()) }, 1e-8);
      });
      tf.dispose([queries, keys, queue]);
    });

    test('sgd', () => {
      const [parameter, gradient, velocity] = [normal(random, [4, 9]), normal(random, [4, 9]), normal(random, [4, 9])];
      same(({ sgd }) => {
        const [p, v] = [variable(parameter), variable(velocity)];
        sgd([p], [toTensor(gradient)], [v], { learningRate: tf.scalar(0.3), momentum: 0.9, weightDecay: 0.1 });
        return [tf.clone(p), tf.clone(v)];
      });
    });

    test.each([0, 0.004, 0.7, 1])('lerp by %d, a number or a scalar', (weight) => {
      const [target, source] = [normal(random, [4, 9]), normal(random, [4, 9])];
      const by = (given: () => number | tf.Scalar) =>
        same(({ lerp }) => {
          const moved = variable(target);
          lerp([moved], [toTensor(source)], given());
          return [tf.clone(moved)];
        });
      by(() => weight);
      by(() => tf.scalar(weight));
    });

    test('a weight of lerp that is no scalar is refused', () => {
      tf.tidy(() => {
        const [target, weight] = [variable(normal(random, [3])), tf.ones([1]) as tf.Tensor as tf.Scalar];
        for (const { lerp } of [engine(), compositions])
          expect(() => lerp([target], [tf.ones([3])], weight)).toThrow('lerp weight is float32 of shape [1]: expected a scalar, float32');
      });
    });

    test('enqueue', () => {
      const [held, keys] = [normal(random, [8, 3]), normal(random, [2, 3])];
      same(({ enqueue }) => {
        const queue = variable(held) as tf.Variable<tf.Rank.R2>;
        enqueue(queue, toTensor(keys), tf.scalar(5, 'int32'));
        return [tf.clone(queue)];
      });
    });

    test('scatterRows', () => {
      const [held, rows] = [normal(random, [8, 3]), normal(random, [3, 3])];
      same(({ scatterRows }) => {
        const bank = variable(held) as tf.Variable<tf.Rank.R2>;
        scatterRows(bank, toTensor(rows), tf.tensor1d([6, 0, 7], 'int32'));
        return [tf.clone(bank)];
      });
    });
  });
}
