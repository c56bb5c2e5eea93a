/**
 * What every engine must do: its own members, and the TensorFlow.js operations and gradients that the model uses, against plain
 * float64 loops and finite differences.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { IMAGE_MEAN, IMAGE_STD, selectEngine } from '#dist/engine/index.js';
import type { Engine, EngineName, EngineOptions } from '#dist/engine/index.js';
import { Random } from '#dist/common/random.js';
import { testInfoNce, testSimilarities } from './contract-loss.js';
import { testOperations } from './contract-operations.js';
import { testSteps } from './contract-step.js';
import { batchNorm, convolution, maxPool, numericGradient, product, transpose, zeros } from './reference.js';
import type { Array64 } from './reference.js';
import { expectClose, normal, toTensor, variable } from './tensors.js';

/** Sums of up to a few thousand float32 products, relative to the largest. */
const SUMS = 2e-6;
/** Winograd's algorithm for filters of 3x3 multiplies less and rounds more; `torch` takes it on a CPU, cuDNN may on a GPU. */
const WINOGRAD = 5e-6;

const dot = (a: Array64, b: Array64): number => a.data.reduce((sum, value, i) => sum + value * (b.data[i] ?? Number.NaN), 0);

/** @param options how to start it; the tolerances are of fp32, so `precision` is not among them */
export function testEngine(name: EngineName, options: Omit<EngineOptions, 'precision'> = {}): void {
  describe(['engine', name, ...Object.values(options)].join(' '), () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine(name, options);
    });
    afterAll(() => engine.dispose());

    test('says what it is', () => {
      expect(engine.name).toBe(name);
      expect(engine.description).toContain(tf.version_core);
      expect(engine.precision).toBe('fp32');
      expect(engine.device).toMatch(/^(cpu|cuda:\d+)$/);
    });

    describe('convolution', () => {
      // batch, height, width, channels, output channels, filter height, filter width, stride, pad
      test.each([
        [4, 8, 8, 16, 16, 3, 3, 1, 1],
        [3, 9, 7, 5, 6, 3, 3, 2, 1],
        [5, 14, 15, 3, 10, 7, 7, 2, 3],
        [6, 5, 6, 8, 12, 1, 1, 1, 0],
        [6, 5, 6, 8, 12, 1, 1, 2, 0],
        [7, 4, 4, 9, 13, 3, 3, 2, 'same'],
        [2, 1, 1, 16, 24, 3, 3, 1, 1],
        [8, 2, 2, 8, 8, 3, 3, 1, 1],
        [8, 3, 3, 8, 8, 3, 3, 2, 1],
        [4, 7, 6, 4, 8, 3, 3, 3, 1],
        [2, 7, 9, 4, 8, 5, 3, 2, 'valid'],
        [1, 24, 40, 20, 9, 3, 3, 1, 1],
        [3, 13, 18, 48, 64, 3, 3, 1, 1],
        // Images that a filter sees whole, as the patches at res5, and large filters of one pixel.
        [40, 2, 2, 8, 12, 3, 3, 1, 1],
        [33, 2, 2, 8, 8, 3, 3, 2, 1],
        [36, 2, 2, 5, 7, 3, 3, 2, 'same'],
        [34, 1, 1, 16, 24, 3, 3, 1, 1],
        [32, 3, 2, 6, 10, 5, 3, 1, 'same'],
        [2, 3, 2, 1024, 1024, 1, 1, 1, 0],
      ] as const)('%d x %d x %d x %d to %d channels, filter %d x %d, stride %d, pad %s', (n, h, w, c, k, r, s, stride, pad) => {
        const random = new Random(n * h + w * c);
        const [x, filter] = [normal(random, [n, h, w, c]), normal(random, [r, s, c, k])];
        const info = tf.backend_util.computeConv2DInfo([n, h, w, c], [r, s, c, k], stride, 1, pad);
        const dy = normal(random, info.outShape);
        const tolerance = r === 3 && s === 3 && stride === 1 ? WINOGRAD : SUMS;
        const expected = convolution(x, filter, dy, { stride, padTop: info.padInfo.top, padLeft: info.padInfo.left });
        tf.tidy(() => {
          const run = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, stride, pad);
          expectClose(run(toTensor(x), toTensor(filter)), expected.y, tolerance);
          const [dx, dFilter] = tf.grads(run)([toTensor(x), toTensor(filter)], toTensor(dy));
          expectClose(dx as tf.Tensor, expected.dx, tolerance);
          expectClose(dFilter as tf.Tensor, expected.dFilter, tolerance);
        });
      });
    });

    describe('matrix product', () => {
      test.each([
        [5, 7, 9],
        [1, 3, 1],
        [33, 128, 100],
        [3, 600, 270],
        [300, 260, 210],
        [210, 260, 300],
      ])('[%d, %d] x [%d]', (rows, depth, columns) => {
        const random = new Random(rows);
        const [a, b] = [normal(random, [rows, depth]), normal(random, [depth, columns])];
        const dy = normal(random, [rows, columns]);
        const expected = product(a, b);
        const [da, db] = [product(dy, transpose(b)), product(transpose(a), dy)];
        for (const transposeA of [false, true]) {
          for (const transposeB of [false, true]) {
            tf.tidy(() => {
              const inputs = [toTensor(transposeA ? transpose(a) : a), toTensor(transposeB ? transpose(b) : b)];
              const run = (p: tf.Tensor, q: tf.Tensor): tf.Tensor => tf.matMul(p, q, transposeA, transposeB);
              expectClose(run(...(inputs as [tf.Tensor, tf.Tensor])), expected, SUMS);
              const [dp, dq] = tf.grads(run)(inputs, toTensor(dy));
              expectClose(dp as tf.Tensor, transposeA ? transpose(da) : da, SUMS);
              expectClose(dq as tf.Tensor, transposeB ? transpose(db) : db, SUMS);
            });
          }
        }
      });

      test('of stacks, one of them a single matrix', () => {
        const random = new Random(1);
        const [a, b] = [normal(random, [3, 2, 5]), normal(random, [1, 5, 4])];
        const right = { shape: [5, 4], data: b.data };
        const expected = zeros([3, 2, 4]);
        for (let n = 0; n < 3; n++)
          expected.data.set(product({ shape: [2, 5], data: a.data.slice(n * 10, n * 10 + 10) }, right).data, n * 8);
        tf.tidy(() => expectClose(tf.matMul(toTensor(a), toTensor(b)), expected, SUMS));
      });
    });

    describe('max pool', () => {
      // Rounded values make many ties: the gradient belongs to the first maximum, as in PyTorch and TensorFlow.
      test.each([
        [2, 8, 8, 16, 1],
        [3, 7, 9, 6, 1],
        [2, 1, 1, 4, 1],
        [2, 6, 6, 5, 0],
      ])('3x3 stride 2 of [%d, %d, %d, %d], pad %d', (n, h, w, c, pad) => {
        const random = new Random(h);
        const x = normal(random, [n, h, w, c]);
        for (const i of x.data.keys()) x.data[i] = Math.round(x.data[i] ?? 0);
        const run = (v: tf.Tensor): tf.Tensor => tf.maxPool(v as tf.Tensor4D, 3, 2, pad);
        tf.tidy(() => {
          const y = run(toTensor(x));
          const dy = normal(random, y.shape);
          const expected = maxPool(x, dy, 3, { stride: 2, padTop: pad, padLeft: pad });
          expectClose(y, expected.y, 0);
          expectClose(tf.grad(run)(toTensor(x), toTensor(dy)), expected.dx, SUMS);
        });
      });
    });

    describe('groupedBatchNorm', () => {
      const epsilon = 1e-5;
      const cases = [1, 2, 8].flatMap((groups) =>
        [false, true].flatMap((relu) => [false, true].map((residual) => ({ groups, relu, residual }))),
      );
      const shapes = [
        [8, 3, 2, 8],
        [8, 2, 3, 5],
        [16, 7],
      ];
      describe.each(shapes)('of [%s]', (...shape) => {
        test.each(cases)('$groups groups, relu $relu, residual $residual', ({ groups, relu, residual: withResidual }) => {
          const random = new Random(groups, shape[1]);
          const channels = shape.at(-1) ?? 0;
          const x = normal(random, shape, 1, 2);
          const [scale, shift] = [normal(random, [channels], 1, 0.3), normal(random, [channels])];
          const residual = withResidual ? normal(random, shape) : undefined;
          const dy = normal(random, shape);
          const options = { groups, epsilon, relu };
          const expected = batchNorm(x, scale, shift, residual, options);
          const loss = (a: Array64, b: Array64, c: Array64, d?: Array64): number => dot(batchNorm(a, b, c, d, options).y, dy);
          const step = 1e-6;
          const gradients = [
            numericGradient((v) => loss(v, scale, shift, residual), x, step),
            numericGradient((v) => loss(x, v, shift, residual), scale, step),
            numericGradient((v) => loss(x, scale, v, residual), shift, step),
            ...(residual === undefined ? [] : [numericGradient((v) => loss(x, scale, shift, v), residual, step)]),
          ];
          tf.tidy(() => {
            const inputs = [x, scale, shift, ...(residual === undefined ? [] : [residual])].map((array) => toTensor(array));
            const run = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d?: tf.Tensor) =>
              engine.groupedBatchNorm(a, b, c, { ...options, ...(d === undefined ? {} : { residual: d }) });
            const { y, mean, variance } = run(...(inputs as [tf.Tensor, tf.Tensor, tf.Tensor]));
            expectClose(y, expected.y, 1e-5);
            expectClose(mean, expected.mean, 1e-6);
            expectClose(variance, expected.variance, 1e-6);
            const actual = tf.grads((a, b, c, d) => run(a as tf.Tensor, b as tf.Tensor, c as tf.Tensor, d).y)(inputs, toTensor(dy));
            expect(actual).toHaveLength(gradients.length);
            // A group of two values is ill-conditioned where they almost agree: float32 keeps three digits there.
            const tolerance = x.data.length / channels / groups < 4 ? 1e-3 : 2e-5;
            actual.forEach((gradient, i) => expectClose(gradient, gradients[i] as Array64, tolerance));
          });
        });
      });

      test('keeps its digits when the mean is a thousand deviations away', () => {
        const random = new Random(3);
        const x = normal(random, [64, 4, 4, 6], 1000, 1);
        const [scale, shift] = [normal(random, [6], 1, 0.1), normal(random, [6])];
        const expected = batchNorm(x, scale, shift, undefined, { groups: 1, epsilon, relu: false });
        tf.tidy(() => {
          const { y, variance } = engine.groupedBatchNorm(toTensor(x), toTensor(scale), toTensor(shift), { groups: 1, epsilon });
          // The mean itself is rounded to float32: 6e-5 of a deviation.
          expectClose(y, expected.y, 5e-5);
          // Sums of a thousand squares in float32.
          expectClose(variance, expected.variance, 5e-6);
        });
      });

      test('refuses what it cannot normalise, and says why', () => {
        tf.tidy(() => {
          const [x, c] = [tf.zeros([8, 2, 2, 4]), tf.ones([4])];
          const options = { groups: 1, epsilon };
          expect(() => engine.groupedBatchNorm(x, c, c, { ...options, groups: 3 })).toThrow(
            'groups 3: expected a divisor of the batch size 8',
          );
          expect(() => engine.groupedBatchNorm(x, tf.ones([5]), c, options)).toThrow('scale of shape [5]: expected [4]');
          expect(() => engine.groupedBatchNorm(x, c, tf.ones([1, 4]), options)).toThrow('offset of shape [1,4]: expected [4]');
          expect(() => engine.groupedBatchNorm(tf.cast(x, 'int32'), c, c, options)).toThrow('x is int32: expected float32');
          expect(() => engine.groupedBatchNorm(x, c, c, { ...options, residual: tf.zeros([8, 4]) })).toThrow('residual of shape [8,4]');
          expect(() => engine.groupedBatchNorm(tf.zeros([8, 4]), c, c, { ...options, groups: 8 })).toThrow('one value a channel');
          expect(() => engine.groupedBatchNorm(tf.zeros([2, 2, 4]), c, c, options)).toThrow('expected [N, H, W, C] or [N, C]');
        });
      });
    });

    testInfoNce(() => engine);
    testSimilarities(() => engine);
    testOperations(() => engine);
    testSteps(() => engine);

    describe('the rest of the model', () => {
      // Each maps [4, 6] smoothly to something; float32 differences of the engine's own forward pass check the gradient.
      const weights = normal(new Random(9), [6, 3]);
      const operations: Record<string, (x: tf.Tensor) => tf.Tensor> = {
        'relu of a biased product': (x) => tf.relu(tf.add(tf.matMul(x as tf.Tensor2D, toTensor(weights) as tf.Tensor2D), [0.1, 0.2, 0.3])),
        'global average': (x) => tf.mean(tf.reshape(x, [2, 2, 2, 3]), [1, 2]),
        'L2 normalisation': (x) => tf.div(x, tf.norm(x, 2, 1, true)),
        'L2 normalisation by squares': (x) => tf.mul(x, tf.rsqrt(tf.sum(tf.square(x), 1, true))),
        'log-sum-exp of concatenated logits': (x) => tf.logSumExp(tf.concat([x, tf.mul(x, x)], 1), 1),
        'log-softmax': (x) => tf.logSoftmax(x as tf.Tensor2D),
        'exp, log, maximum': (x) => tf.log(tf.add(tf.exp(x), tf.maximum(x, 0.123))),
        'gather of permuted rows': (x) => tf.mul(tf.gather(x, tf.tensor1d([2, 0, 3, 1], 'int32')), [1, 2, 3, 4, 5, 6]),
        'padding and slicing': (x) =>
          tf.mul(
            tf.slice(
              tf.pad(x as tf.Tensor2D, [
                [1, 0],
                [0, 2],
              ]),
              [0, 1],
              [3, 6],
            ),
            2,
          ),
        'sums of scaled terms': (x) => tf.addN([tf.mul(x, 0.1), tf.sub(x, 0.4), tf.squaredDifference(x, 1)]),
      };
      test.each(Object.entries(operations))('gradient of %s', (_, operation) => {
        const random = new Random(11);
        const x = normal(random, [4, 6]);
        tf.tidy(() => {
          const dy = normal(random, operation(toTensor(x)).shape);
          const f = (v: Array64): number =>
            tf.tidy(() => dot({ shape: [], data: Float64Array.from(operation(toTensor(v)).dataSync()) }, dy));
          const expected = numericGradient(f, x, 2 ** -7);
          expectClose(tf.grad(operation)(toTensor(x), toTensor(dy)), expected, 2e-3);
        });
      });

      test('exp over the whole range', () => {
        const values = [-Infinity, -200, -104, -87.5, -80, -1, -1e-8, 0, 1e-8, 0.5, 1, 42, 88.5, 89, 200, Infinity, NaN];
        const x = Float32Array.from([...values, ...Array.from({ length: 4000 }, (_, i) => -87 + i * 0.0437)]);
        tf.tidy(() => {
          const results = tf.exp(tf.tensor1d(x)).dataSync();
          for (const [i, value] of x.entries()) {
            const actual = results[i] ?? Number.NaN;
            const expected = Math.fround(Math.exp(value));
            // Below the normal floats only the magnitude counts.
            const same =
              expected > 2e-38 && expected < Infinity ? Math.abs(actual / expected - 1) < 5e-7 : Math.abs(actual - expected) < 2e-38;
            if (!same && !Object.is(actual, expected)) throw new Error(`exp(${value}): got ${actual}, expected ${expected}`);
          }
        });
      });
    });

    describe('upload', () => {
      test('normalises by channel and has read the bytes when it returns', () => {
        const shape = [2, 9, 3, 5, 3];
        // Views of a batch lie in shared memory.
        const bytes = new Uint8Array(new SharedArrayBuffer(2 * 9 * 3 * 5 * 3));
        for (const i of bytes.keys()) bytes[i] = (i * 37) % 256;
        const expected = zeros(shape);
        for (const [i, byte] of bytes.entries()) expected.data[i] = (byte / 255 - (IMAGE_MEAN[i % 3] ?? 0)) / (IMAGE_STD[i % 3] ?? 0);
        const tensor = engine.upload(bytes, shape);
        bytes.fill(0);
        expectClose(tensor, expected, 1e-6);
        tensor.dispose();
      });

      test('gives levels as they are, whatever the precision', () => {
        const bytes = Uint8Array.from({ length: 256 * 3 }, (_, i) => i % 256);
        const tensor = engine.upload(bytes, [16, 16, 3], 'levels');
        expect([...tensor.dataSync()]).toEqual([...bytes]);
        tensor.dispose();
      });

      test('refuses a shape that is not the bytes', () => {
        expect(() => engine.upload(new Uint8Array(12), [2, 3, 3])).toThrow('upload of 12 bytes as [2,3,3]: expected 18 bytes');
        expect(() => engine.upload(new Uint8Array(12), [12])).toThrow('three channels last');
      });
    });

    describe('in-place updates', () => {
      const random = new Random(21);
      const shapes = [[3, 3, 4, 8], [5], [130]];

      test('sgd: PyTorch rule with momentum and weight decay, over several steps', () => {
        const rates = [0.1, 0.05, 0.2];
        const values = shapes.map((shape) => ({ p: normal(random, shape), v: zeros(shape) }));
        const [parameters, velocities] = [values.map(({ p }) => variable(p)), values.map(({ v }) => variable(v))];
        for (let step = 0; step < 3; step++) {
          const gradients = shapes.map((shape) => normal(random, shape));
          const tensors = gradients.map((gradient) => toTensor(gradient));
          const learningRate = tf.scalar(rates[step] ?? Number.NaN);
          engine.sgd(parameters, tensors, velocities, { learningRate, momentum: 0.9, weightDecay: 0.01 });
          tf.dispose([tensors, learningRate]);
          for (const [i, { p, v }] of values.entries()) {
            for (const j of p.data.keys()) {
              v.data[j] = 0.9 * (v.data[j] ?? 0) + (gradients[i]?.data[j] ?? 0) + 0.01 * (p.data[j] ?? 0);
              p.data[j] = (p.data[j] ?? 0) - (rates[step] ?? Number.NaN) * (v.data[j] ?? 0);
            }
          }
        }
        for (const [i, { p, v }] of values.entries()) {
          expectClose(parameters[i] as tf.Tensor, p, 1e-6);
          expectClose(velocities[i] as tf.Tensor, v, 1e-6);
        }
        tf.dispose([parameters, velocities]);
      });

      test.each([0, 0.001, 0.4, 0.75, 1])('lerp by %d', (weight) => {
        const [targets, sources] = [0, 1].map(() => shapes.map((shape) => normal(random, shape))) as [Array64[], Array64[]];
        const [variables, tensors] = [targets.map((target) => variable(target)), sources.map((source) => toTensor(source))];
        engine.lerp(variables, tensors, weight);
        targets.forEach((target, i) => {
          const moved = zeros(target.shape);
          for (const [j, value] of target.data.entries()) moved.data[j] = value + weight * ((sources[i]?.data[j] ?? 0) - value);
          expectClose(variables[i] as tf.Tensor, moved, weight === 0 || weight === 1 ? 0 : 1e-6);
        });
        tf.dispose([variables, tensors]);
      });

      test('enqueue replaces rows from the pointer on and no others', () => {
        const [queue, keys] = [normal(random, [8, 6]), normal(random, [3, 6])];
        const held = variable(queue) as tf.Variable<tf.Rank.R2>;
        const fresh = toTensor(keys);
        const pointer = tf.scalar(5, 'int32');
        engine.enqueue(held, fresh, pointer);
        queue.data.set(keys.data, 5 * 6);
        expectClose(held, queue, 0);
        tf.tidy(() => {
          expect(() => engine.enqueue(held, tf.zeros([3, 5]), pointer)).toThrow('keys are float32 of shape [3,5]: expected float32 [n, 6]');
          expect(() => engine.enqueue(held, tf.zeros([3, 6], 'int32'), pointer)).toThrow('keys are int32 of shape [3,6]');
          expect(() => engine.enqueue(held, fresh, tf.ones([1], 'int32') as tf.Tensor as tf.Scalar)).toThrow(
            'queue pointer is int32 of shape [1]',
          );
          expect(() => engine.enqueue(held, fresh, tf.scalar(5))).toThrow('queue pointer is float32 of shape []: expected a scalar, int32');
        });
        tf.dispose([held, fresh, pointer]);
      });

      test('scatterRows replaces the rows of these numbers and no others', () => {
        const [bank, rows] = [normal(random, [8, 6]), normal(random, [3, 6])];
        const held = variable(bank) as tf.Variable<tf.Rank.R2>;
        const fresh = toTensor(rows);
        const ordinals = tf.tensor1d([7, 2, 0], 'int32');
        engine.scatterRows(held, fresh, ordinals);
        [7, 2, 0].forEach((place, i) => bank.data.set(rows.data.subarray(6 * i, 6 * i + 6), 6 * place));
        expectClose(held, bank, 0);
        tf.tidy(() => {
          expect(() => engine.scatterRows(held, tf.zeros([3, 5]), ordinals)).toThrow(
            'rows are float32 of shape [3,5]: expected float32 [n, 6]',
          );
          expect(() => engine.scatterRows(held, fresh, tf.tensor1d([1, 2], 'int32'))).toThrow(
            'ordinals are int32 of shape [2]: expected int32 [3], one for each row',
          );
          expect(() => engine.scatterRows(held, fresh, tf.tensor1d([1, 2, 3]))).toThrow(
            'ordinals are float32 of shape [3]: expected int32 [3]',
          );
          if (engine.device !== 'cpu') return;
          expect(() => engine.scatterRows(held, fresh, tf.tensor1d([1, 8, 3], 'int32'))).toThrow(
            'ordinal 8: expected an integer from 0 to 7',
          );
          expect(() => engine.scatterRows(held, fresh, tf.tensor1d([1, 2, -1], 'int32'))).toThrow(
            'ordinal -1: expected an integer from 0 to 7',
          );
        });
        expectClose(held, bank, 0);
        tf.dispose([held, fresh, ordinals]);
      });

      test('refuse tensors that do not pair', () => {
        const [a, b] = [variable(zeros([3])), variable(zeros([4]))];
        const options = { learningRate: tf.scalar(0.1), momentum: 0.9, weightDecay: 0 };
        const rates = tf.ones([2]) as tf.Tensor as tf.Scalar;
        expect(() => engine.sgd([a], [a], [a], { ...options, learningRate: rates })).toThrow('learning rate is float32 of shape [2]');
        expect(() => engine.sgd([a], [b], [a], options)).toThrow('gradients[0] of shape [4]: expected [3]');
        expect(() => engine.lerp([a, b], [a], 0.5)).toThrow('1 sources for 2 variables');
        expect(() => engine.lerp([a, a], [a, a], 0.5)).toThrow('one comes twice');
        const [counts, integers] = [tf.ones([3], 'int32'), tf.variable(tf.ones([3], 'int32'))];
        expect(() => engine.sgd([a], [counts], [a], options)).toThrow('gradients[0] for a variable of float32 is int32: expected float32');
        expect(() => engine.lerp([integers], [a], 0.5)).toThrow('sources[0] for a variable of int32 is float32: expected float32');
        tf.dispose([a, b, rates, options.learningRate, counts, integers]);
      });

      // A variable shares its data with the tensor it was made from, a clone with its original, and a view with what it is a part of.
      const views: Record<string, (x: tf.Tensor) => tf.Tensor> = {
        clone: (x) => tf.clone(x),
        reshape: (x) => tf.reshape(x, [6]),
        slice: (x) => tf.slice(x, [1, 0], [1, 3]),
        transpose: (x) => tf.transpose(x),
        'split of rows': (x) => tf.split(x, 2, 0)[1] as tf.Tensor,
        'split of columns': (x) => tf.split(x, 3, 1)[2] as tf.Tensor,
        unstack: (x) => tf.unstack(x)[1] as tf.Tensor,
      };
      // Each makes zeros of the weights.
      const updates: Record<string, (weights: tf.Variable<tf.Rank.R2>, velocity: tf.Variable) => void> = {
        lerp: (weights) => engine.lerp([weights], [tf.zeros([2, 3])], 1),
        sgd: (weights, velocity) =>
          engine.sgd([weights], [weights], [velocity], { learningRate: tf.scalar(1), momentum: 0.9, weightDecay: 0 }),
        enqueue: (weights) => engine.enqueue(weights, tf.zeros([2, 3]), tf.scalar(0, 'int32')),
        scatterRows: (weights) => engine.scatterRows(weights, tf.zeros([2, 3]), tf.tensor1d([1, 0], 'int32')),
      };
      describe.each(Object.entries(views))('change the variable only, never a tensor that shares its data: %s', (_view, view) => {
        test.each(Object.entries(updates))('%s', (_update, update) => {
          tf.tidy(() => {
            const start = normal(random, [2, 3]);
            const source = toTensor<tf.Rank.R2>(start);
            const [weights, velocity] = [tf.variable(source), variable(zeros([2, 3]))];
            const seen = view(weights);
            const before = { shape: seen.shape, data: Float64Array.from(seen.dataSync()) };
            update(weights, velocity);
            expectClose(seen, before, 0);
            expectClose(source, start, 0);
            expectClose(weights, zeros([2, 3]), 0);
            tf.dispose([weights, velocity]);
          });
        });
      });

      // Backends may keep a filter or a right-hand side packed for their fast kernels under the tensor's identity; after an in-place
      // update such a copy is stale and training silently goes on with the first weights.
      test('are seen by every later operation', () => {
        const x = toTensor(normal(random, [2, 5, 5, 8])) as tf.Tensor4D;
        const rows = toTensor(normal(random, [4, 8])) as tf.Tensor2D;
        const filter = variable(normal(random, [3, 3, 8, 8])) as tf.Variable<tf.Rank.R4>;
        const depthwise = variable(normal(random, [3, 3, 8, 1])) as tf.Variable<tf.Rank.R4>;
        const matrix = variable(normal(random, [8, 8])) as tf.Variable<tf.Rank.R2>;
        const bias = variable(normal(random, [8]));
        const run = (): tf.Tensor[] =>
          tf.tidy(() => [
            tf.conv2d(x, filter, 1, 'same'),
            tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias, activation: 'relu' }),
            tf.depthwiseConv2d(x, depthwise, 1, 'same'),
            tf.matMul(rows, matrix),
            tf.matMul(rows, matrix, false, true),
            tf.fused.matMul({ a: rows, b: matrix, bias }),
            tf.prelu(x, bias as tf.Tensor as tf.Tensor4D),
            engine.groupedBatchNorm(x, bias, bias, { groups: 1, epsilon: 1e-5 }).y,
          ]);
        const before = run();
        const variables: tf.Variable[] = [filter, depthwise, matrix, bias];
        engine.lerp(
          variables,
          variables.map(({ shape }) => toTensor(normal(random, shape))),
          1,
        );
        const after = run();
        // The same values in tensors no kernel has met.
        const fresh = variables.map((held) => variable({ shape: held.shape, data: Float64Array.from(held.dataSync()) }));
        variables.forEach((held, i) => held.assign(fresh[i] as tf.Tensor));
        const expected = run();
        after.forEach((tensor, i) => {
          expectClose(tensor, { shape: tensor.shape, data: Float64Array.from((expected[i] as tf.Tensor).dataSync()) }, 0);
          expect(tensor.dataSync()).not.toEqual((before[i] as tf.Tensor).dataSync());
        });
      });
    });

    test('training steps leave no tensor behind', () => {
      const random = new Random(31);
      const filter = variable(normal(random, [3, 3, 3, 8]));
      const [scale, shift] = [variable(normal(random, [8])), variable(normal(random, [8]))];
      const parameters = [filter, scale, shift];
      const velocities = parameters.map(({ shape }) => variable(zeros(shape)));
      const bytes = new Uint8Array(4 * 6 * 6 * 3).fill(100);
      const step = (): void => {
        tf.tidy(() => {
          const x = engine.upload(bytes, [4, 6, 6, 3]) as tf.Tensor4D;
          const { grads } = tf.variableGrads(() => {
            const y = tf.conv2d(x, filter as tf.Tensor4D, 1, 1);
            const a = engine.groupedBatchNorm(y, scale, shift, { groups: 2, epsilon: 1e-5, relu: true }).y as tf.Tensor4D;
            const b = engine.groupedBatchNorm(y, scale, shift, { groups: 1, epsilon: 1e-5, relu: true, residual: a }).y as tf.Tensor4D;
            return tf.mean(tf.square(tf.maxPool(b, 3, 2, 1))) as tf.Scalar;
          }, parameters);
          const gradients = parameters.map(({ name: parameter }) => grads[parameter] as tf.Tensor);
          engine.sgd(parameters, gradients, velocities, { learningRate: tf.scalar(0.1), momentum: 0.9, weightDecay: 0 });
        });
      };
      step();
      const { numTensors, numBytes } = tf.memory();
      for (let i = 0; i < 5; i++) step();
      expect(tf.memory()).toMatchObject({ numTensors, numBytes });
      tf.dispose([parameters, velocities]);
    });

    test('can be disposed of and started again', async () => {
      await engine.dispose();
      engine = await selectEngine(name, options);
      const tensor = engine.upload(new Uint8Array(3).fill(255), [1, 1, 3]);
      expect(tensor.dataSync()[0]).toBeCloseTo((1 - IMAGE_MEAN[0]) / IMAGE_STD[0], 5);
      tensor.dispose();
    });
  });
}
