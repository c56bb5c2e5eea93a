/** Whole steps, compiled and not, and what bad tensors do to them: part of the contract of every engine. */
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Engine } from '#dist/engine/index.js';
import { Random } from '#dist/common/random.js';
import { unitRows } from './contract-loss.js';
import { zeros } from './reference.js';
import { expectClose, normal, toTensor, variable } from './tensors.js';

const [IMAGES, SIDE, CHANNELS, QUEUE] = [4, 6, 8, 16] as const;
const CALLS = 8;

type Inputs = {
  readonly images: tf.Tensor4D;
  readonly keys: tf.Tensor2D;
  readonly order: tf.Tensor1D;
  readonly learningRate: tf.Scalar;
  readonly pointer: tf.Scalar;
};

/** A convolution, a batch norm and a loss against a queue, with all that a training step changes in place. */
class Model {
  readonly filter = variable(normal(new Random(1), [3, 3, 3, CHANNELS], 0, 0.3)) as tf.Variable<tf.Rank.R4>;
  readonly scale = variable({ shape: [CHANNELS], data: new Float64Array(CHANNELS).fill(1) });
  readonly offset = variable(zeros([CHANNELS]));
  readonly slow = variable(zeros([3, 3, 3, CHANNELS]));
  readonly runningMean = variable(zeros([CHANNELS]));
  readonly queue = variable(unitRows(new Random(2), QUEUE, CHANNELS)) as tf.Variable<tf.Rank.R2>;
  readonly bank = variable(unitRows(new Random(4), QUEUE, CHANNELS)) as tf.Variable<tf.Rank.R2>;
  readonly parameters: readonly tf.Variable[] = [this.filter, this.scale, this.offset];
  readonly velocities = this.parameters.map(({ shape }) => variable(zeros(shape)));
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get variables(): tf.Variable[] {
    return [...this.parameters, ...this.velocities, this.slow, this.runningMean, this.queue, this.bank];
  }

  loss(images: tf.Tensor4D, keys: tf.Tensor2D): { loss: tf.Scalar; mean: tf.Tensor } {
    const { y, mean } = this.#engine.groupedBatchNorm(tf.conv2d(images, this.filter, 1, 1), this.scale, this.offset, {
      groups: 2,
      epsilon: 1e-5,
      relu: true,
    });
    const pooled = tf.mean(y, [1, 2]);
    const queries = tf.div(pooled, tf.sqrt(tf.sum(tf.mul(pooled, pooled), 1, true))) as tf.Tensor2D;
    return { loss: this.#engine.infoNce(queries, keys, this.queue, 0.2), mean };
  }

  readonly step = ({ images, keys, order, learningRate, pointer }: Inputs): { loss: tf.Scalar; doubled: tf.Tensor } =>
    tf.tidy(() => {
      let mean: tf.Tensor = images;
      const { value, grads } = tf.variableGrads(() => {
        const { loss, mean: batch } = this.loss(images, keys);
        mean = tf.keep(batch);
        return loss;
      }, [...this.parameters]);
      const gradients = this.parameters.map(({ name }) => grads[name] as tf.Tensor);
      this.#engine.lerp([this.runningMean], [mean], 0.1);
      mean.dispose();
      this.#engine.sgd(this.parameters, gradients, this.velocities, { learningRate, momentum: 0.9, weightDecay: 1e-4 });
      this.#engine.lerp([this.slow], [this.filter], 0.25);
      this.#engine.enqueue(this.queue, tf.gather(keys, order), pointer);
      this.#engine.scatterRows(this.bank, tf.add(tf.gather(this.bank, order), keys) as tf.Tensor2D, order);
      return { loss: value, doubled: tf.mul(value, 2) };
    });
}

function inputsOf(call: number): Inputs {
  const random = new Random(3, call);
  return {
    images: toTensor<tf.Rank.R4>(normal(random, [IMAGES, SIDE, SIDE, 3])),
    keys: toTensor<tf.Rank.R2>(unitRows(random, IMAGES, CHANNELS)),
    order: tf.tensor1d(random.permutation(IMAGES), 'int32'),
    learningRate: tf.scalar(0.1 / (call + 1)),
    pointer: tf.scalar((call * IMAGES) % QUEUE, 'int32'),
  };
}

const float64 = (tensor: tf.Tensor) => ({ shape: tensor.shape, data: Float64Array.from(tensor.dataSync()) });

/** @param engine the engine of the moment: tests may start another */
export function testSteps(engine: () => Engine): void {
  describe('compile', () => {
    test('gives a step that does what the function does, call by call', () => {
      const [plain, other] = [new Model(engine()), new Model(engine())];
      const compiled = engine().compile(other.step);
      const results: { expected: ReturnType<Model['step']>; actual: ReturnType<Model['step']> }[] = [];
      for (let call = 0; call < CALLS; call++) {
        const inputs = inputsOf(call);
        const before = inputs.images.dataSync().slice();
        results.push({ expected: plain.step(inputs), actual: compiled(inputs) });
        // An operation outside the step, between calls, sees the variables of this call.
        tf.tidy(() => expectClose(other.loss(inputs.images, inputs.keys).loss, float64(plain.loss(inputs.images, inputs.keys).loss), 1e-5));
        expect(inputs.images.dataSync()).toEqual(before);
        tf.dispose(inputs as tf.TensorContainer);
      }
      // Read last: the outputs of a call are its own, whatever later calls do.
      for (const { expected, actual } of results) {
        expectClose(actual.loss, float64(expected.loss), 1e-5);
        expectClose(actual.doubled, float64(expected.doubled), 1e-5);
      }
      const losses = results.map(({ actual }) => actual.loss.dataSync()[0]);
      expect(new Set(losses).size).toBe(CALLS);
      other.variables.forEach((held, i) => expectClose(held, float64(plain.variables[i] as tf.Variable), 1e-5));
      tf.dispose([results, plain.variables, other.variables] as tf.TensorContainer[]);
    });

    test('holds no more tensors however often it is called, when its outputs are disposed of', () => {
      const model = new Model(engine());
      const compiled = engine().compile(model.step);
      const call = (index: number): void => {
        const inputs = inputsOf(index);
        const outputs = compiled(inputs);
        expect(Number.isFinite(outputs.loss.dataSync()[0])).toBe(true);
        tf.dispose([inputs, outputs] as tf.TensorContainer[]);
      };
      for (let index = 0; index < CALLS; index++) call(index);
      const { numTensors, numBytes } = tf.memory();
      for (let index = 0; index < CALLS; index++) call(index);
      expect(tf.memory()).toMatchObject({ numTensors, numBytes });
      tf.dispose(model.variables);
    });

    test('passes on what a step throws', () => {
      const compiled = engine().compile(({ x }: { readonly x: tf.Tensor }) => {
        if (x.size === 4) throw new RangeError('four is refused');
        return { y: tf.mul(x, 2) };
      });
      tf.tidy(() => expect(() => compiled({ x: tf.zeros([4]) })).toThrow('four is refused'));
    });
  });

  describe('bad tensors', () => {
    test('one that is disposed of throws where it is used, and later work goes on', () => {
      tf.tidy(() => {
        const [gone, rows] = [toTensor<tf.Rank.R2>(normal(new Random(5), [3, 3])), toTensor<tf.Rank.R2>(normal(new Random(6), [3, 3]))];
        const held = variable(zeros([3, 3]));
        gone.dispose();
        expect(() => tf.matMul(rows, gone)).toThrow();
        expect(() => gone.dataSync()).toThrow('disposed');
        expect(() => engine().lerp([held], [gone], 0.5)).toThrow();
        engine().lerp([held], [tf.ones([3, 3])], 1);
        expectClose(tf.matMul(rows, held as tf.Tensor as tf.Tensor2D), float64(tf.matMul(rows, tf.ones([3, 3]))), 0);
        held.dispose();
      });
    });

    test('a NaN in an image reaches the loss as NaN, without a throw', () => {
      const model = new Model(engine());
      const pixels = normal(new Random(7), [IMAGES, SIDE, SIDE, 3]);
      pixels.data[3 * SIDE * 3] = Number.NaN;
      const inputs = { ...inputsOf(0), images: toTensor<tf.Rank.R4>(pixels) };
      const outputs = model.step(inputs);
      expect(outputs.loss.dataSync()[0]).toBeNaN();
      tf.dispose([inputs, outputs, model.variables] as tf.TensorContainer[]);
    });

    test('a NaN among the queries alone makes InfoNCE NaN', () => {
      tf.tidy(() => {
        const [keys, queue] = [unitRows(new Random(8), 4, 8), unitRows(new Random(9), 96, 8)];
        const queries = { shape: keys.shape, data: keys.data.map((value, i) => (i === 17 ? Number.NaN : value)) };
        const [q, k, negatives] = [queries, keys, queue].map((array) => toTensor<tf.Rank.R2>(array)) as [
          tf.Tensor2D,
          tf.Tensor2D,
          tf.Tensor2D,
        ];
        expect(engine().infoNce(q, k, negatives, 0.2).dataSync()[0]).toBeNaN();
      });
    });
  });
}
