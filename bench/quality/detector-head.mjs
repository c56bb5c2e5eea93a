/** The head of a small detector: what it makes of the cells of maps, and how it learns that. */
import * as tf from '@tensorflow/tfjs-core';
import { Random, streamId } from '../../dist/common/random.js';

/** Left, top, right, bottom. */
export const SIDES = 4;
const HIDDEN = 64;
/** Images a step. */
const BATCH = 50;
const MOMENTUM = 0.9;

/** Linear, ReLU, Linear, trained by SGD with momentum and a cosine: cross-entropy and squared distances. */
export class DetectorHead {
  #engine;
  #classes;
  #parameters;
  #velocities;

  constructor(engine, dimensions, classes, seed) {
    this.#engine = engine;
    this.#classes = classes;
    const random = new Random(seed, streamId('detector'));
    const normal = (rows, columns) =>
      tf.tidy(() =>
        tf.variable(
          tf.tensor2d(
            Float32Array.from({ length: rows * columns }, () => random.normal(0, Math.sqrt(2 / rows))),
            [rows, columns],
          ),
        ),
      );
    const zeros = (shape) => tf.tidy(() => tf.variable(tf.zeros(shape)));
    const outputs = classes + 1 + SIDES;
    this.#parameters = [normal(dimensions, HIDDEN), zeros([HIDDEN]), normal(HIDDEN, outputs), zeros([outputs])];
    this.#velocities = this.#parameters.map(({ shape }) => zeros(shape));
  }

  async fit({ values, dimensions, grid }, targets, { epochs, seed, rate }) {
    const cells = grid * grid;
    const images = values.length / (cells * dimensions);
    const step = this.#engine.compile((inputs) => this.#step(inputs));
    const steps = Math.floor(images / BATCH);
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = new Random(seed, streamId('detector'), epoch + 1).permutation(images);
      for (let at = 0; at < steps; at++) {
        const batch = order.slice(at * BATCH, (at + 1) * BATCH);
        const progress = (epoch + at / steps) / epochs;
        tf.tidy(() => {
          const gather = (from, width) => tf.tensor2d(taken(from, batch, cells * width), [BATCH * cells, width]);
          step({
            features: gather(values, dimensions),
            classes: gather(targets.classes, this.#classes + 1),
            sides: gather(targets.sides, SIDES),
            covered: gather(targets.covered, 1),
            rate: tf.scalar((rate / 2) * (1 + Math.cos(Math.PI * progress))),
          });
        });
      }
    }
  }

  /** Shares of the classes and of none, and distances: [rows, classes + 1 + 4]. */
  async predict(features) {
    const out = tf.tidy(() => {
      const { logits, sides } = this.#forward(features);
      return tf.concat([tf.softmax(logits), sides], 1);
    });
    const values = await out.data();
    out.dispose();
    return values;
  }

  isFinite() {
    return this.#parameters.every((parameter) => parameter.dataSync().every(Number.isFinite));
  }

  dispose() {
    tf.dispose([...this.#parameters, ...this.#velocities]);
  }

  #forward(features) {
    const [w1, b1, w2, b2] = this.#parameters;
    const hidden = tf.relu(tf.add(tf.matMul(features, w1), b1));
    const out = tf.add(tf.matMul(hidden, w2), b2);
    const rows = features.shape[0];
    return {
      hidden,
      logits: tf.slice(out, [0, 0], [rows, this.#classes + 1]),
      sides: tf.slice(out, [0, this.#classes + 1], [rows, SIDES]),
    };
  }

  /** Objects and background weigh alike in the cross-entropy, whatever their numbers of cells. */
  #step({ features, classes, sides, covered, rate }) {
    return tf.tidy(() => {
      const forward = this.#forward(features);
      const none = tf.slice(classes, [0, this.#classes], [features.shape[0], 1]);
      const share = (rows) => tf.div(rows, tf.maximum(tf.sum(rows), 1));
      const ofObject = share(covered);
      const ofLogits = tf.mul(tf.sub(tf.softmax(forward.logits), classes), tf.add(ofObject, share(none)));
      const ofSides = tf.mul(tf.sub(forward.sides, sides), ofObject);
      const ofOut = tf.concat([ofLogits, ofSides], 1);
      const [, , w2] = this.#parameters;
      const ofHidden = tf.mul(tf.matMul(ofOut, w2, false, true), tf.step(forward.hidden));
      const gradients = [
        tf.matMul(features, ofHidden, true),
        tf.sum(ofHidden, 0),
        tf.matMul(forward.hidden, ofOut, true),
        tf.sum(ofOut, 0),
      ];
      this.#engine.sgd(this.#parameters, gradients, this.#velocities, { learningRate: rate, momentum: MOMENTUM, weightDecay: 0 });
      return { objects: tf.sum(covered) };
    });
  }
}

/** Runs of `length` values, those with the numbers `which`. */
function taken(values, which, length) {
  const chosen = new Float32Array(which.length * length);
  for (const [at, one] of which.entries()) chosen.set(values.subarray(one * length, (one + 1) * length), at * length);
  return chosen;
}
