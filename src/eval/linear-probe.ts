/** Softmax regression on frozen features, on the device: the probe itself, without its schedule. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';

const MOMENTUM = 0.9;
/** Of a row that fills up the last batch of an epoch: it takes no part. */
export const NO_CLASS = -1;

type Inputs = { readonly features: Tensor2D; readonly labels: Tensor1D; readonly rate: Scalar };
type Outputs = { readonly loss: Tensor1D };

/**
 * Several classifiers that differ in their learning rate alone, trained at once on the same batches.
 *
 * They start at zero: the loss is convex, so the start decides nothing but the way. SGD without weight decay is linear in its gradients, so a
 * rate that is `factor` times another is a gradient that is `factor` times as large.
 */
export class LinearProbe {
  readonly #classes: number;
  readonly #factors: number;
  /** [dimensions, factors x classes] and [factors x classes]. */
  readonly #parameters: readonly [weight: Variable, bias: Variable];
  readonly #velocities: readonly Variable[];
  /** [1, factors, 1]. */
  readonly #scale: Variable;
  readonly #compiled: (inputs: Inputs) => Outputs;

  /** @param factors of the learning rate, one for each classifier */
  constructor(engine: Engine, dimensions: number, classes: number, factors: readonly number[]) {
    this.#classes = classes;
    this.#factors = factors.length;
    const zeros = (shape: number[], trainable: boolean): Variable => {
      const start = tf.zeros(shape);
      const variable = tf.variable(start, trainable);
      start.dispose();
      return variable;
    };
    const shapes = [[dimensions, factors.length * classes], [factors.length * classes]];
    this.#parameters = shapes.map((shape) => zeros(shape, true)) as [Variable, Variable];
    this.#velocities = shapes.map((shape) => zeros(shape, false));
    this.#scale = tf.tidy(() => tf.variable(tf.tensor3d([...factors], [1, factors.length, 1]), false));
    this.#compiled = engine.compile((inputs: Inputs): Outputs => this.#step(engine, inputs));
  }

  /**
   * One step of SGD with momentum 0.9 on the mean cross-entropy.
   *
   * @param features [N, dimensions], the same N each time
   * @param labels int32 [N]; `NO_CLASS` for rows that take no part
   * @returns the loss before the step of each classifier, [factors]; the caller's to dispose of
   */
  step(features: Tensor2D, labels: Tensor1D, rate: number): Tensor1D {
    const scalar = tf.scalar(rate);
    const { loss } = this.#compiled({ features, labels, rate: scalar });
    scalar.dispose();
    return loss;
  }

  /** Logits, [N, factors, classes]. */
  scores(features: Tensor2D): Tensor3D {
    return tf.tidy(() => {
      const [weight, bias] = this.#parameters;
      const product = tf.add(tf.matMul(features, weight as Tensor2D), bias);
      return tf.reshape(product, [features.shape[0], this.#factors, this.#classes]);
    });
  }

  /** Weights [dimensions, factors x classes] and bias [factors x classes]. */
  get parameters(): readonly [weight: Variable, bias: Variable] {
    return this.#parameters;
  }

  /** All that decides how it goes on, by name. */
  get state(): ReadonlyMap<string, Variable> {
    const [[weight, bias], [weightVelocity, biasVelocity]] = [this.#parameters, this.#velocities as readonly [Variable, Variable]];
    return new Map([
      ['weight', weight],
      ['bias', bias],
      ['weight.velocity', weightVelocity],
      ['bias.velocity', biasVelocity],
    ]);
  }

  [Symbol.dispose](): void {
    tf.dispose([...this.#parameters, ...this.#velocities, this.#scale]);
  }

  #step(engine: Engine, { features, labels, rate }: Inputs): Outputs {
    return tf.tidy(() => {
      const [batch] = features.shape;
      const logits = this.scores(features);
      const shifted = tf.sub(logits, tf.max(logits, 2, true));
      const logShares = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 2, true)));
      // Cast: TensorFlow.js's kernel for WebAssembly leaves whole numbers in a result that it calls float32.
      const targets = tf.expandDims(tf.cast(tf.oneHot(labels, this.#classes), 'float32'), 1);
      const counted = tf.sum(targets, 2, true);
      const images = tf.maximum(tf.sum(counted), 1);
      const loss = tf.neg(tf.div(tf.sum(tf.mul(targets, logShares), [0, 2]), images)) as Tensor1D;
      const slopes = tf.div(tf.sub(tf.mul(tf.exp(logShares), counted), targets), images);
      const scaled = tf.reshape(tf.mul(slopes, this.#scale), [batch, this.#factors * this.#classes]) as Tensor2D;
      const gradients = [tf.matMul(features, scaled, true), tf.sum(scaled, 0)];
      engine.sgd(this.#parameters, gradients, this.#velocities, { learningRate: rate, momentum: MOMENTUM, weightDecay: 0 });
      return { loss };
    });
  }
}
