/**
 * What pretexts share that tell classes apart which the data itself gives: several pictures of an image go through one backbone, a head makes
 * logits of their pooled features, and softmax cross-entropy holds these to labels that are known without anybody's work.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { type Layers } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { SingleNetworkMethod, type SingleNetworkParts } from './single-network.js';
import { viewOf } from './views.js';

export interface PretextParts extends SingleNetworkParts {
  /** The view, of several pictures an image. */
  readonly view: string;
}

export abstract class PretextMethod<Options extends { readonly bnGroups: number }> extends SingleNetworkMethod<Options> {
  readonly views: readonly string[];
  readonly terms = ['accuracy'];
  readonly dimensions: number;
  readonly #resNet: ResNet;

  constructor(engine: Engine, options: Options, parts: PretextParts, seed: number) {
    super(engine, options, parts, seed);
    this.views = [parts.view];
    this.dimensions = parts.resNet.channels[LAST_STAGE];
    this.#resNet = parts.resNet;
  }

  /** Among them `labels`, the class of each row of logits: int32, from 0. */
  abstract override inputs(at: StepAt): NamedTensors;

  /** @param features of the pictures, image by image, [N, pictures, C]; @returns logits [rows, classes] */
  protected abstract logits(layers: Layers, features: Tensor3D, inputs: NamedTensors): Tensor2D;

  /** Of an image, [N, pictures, C] -> [N, C]. */
  protected abstract imageFeatures(features: Tensor3D): Tensor2D;

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const view = viewOf<Tensor5D>(views, this.views[0] as string, this.options, this.engine.ranks.size);
    const [images, pictures, ...picture] = view.shape;
    const result = differentiate(this.network, (layers) => {
      const rows = tf.reshape(view, [images * pictures, ...picture]) as Tensor4D;
      const pooled = lastStage(this.#resNet, layers, rows, globalAverage);
      const features = tf.reshape(pooled, [images, pictures, this.dimensions]) as Tensor3D;
      const { loss, accuracy } = classification(this.logits(layers, features, inputs), inputs['labels'] as Tensor1D);
      const ofImages = this.imageFeatures(features);
      const featureStd = deviation(l2Normalise(ofImages), this.engine.ranks);
      return { loss, terms: { accuracy }, featureStd, features: ofImages };
    });
    return { ...result, carry: {} };
  }
}

/**
 * Softmax cross-entropy, the mean over rows, and the share of rows whose largest logit is that of their class.
 *
 * @param labels int32 [rows], below the number of classes
 */
export function classification(logits: Tensor2D, labels: Tensor1D): { loss: Scalar; accuracy: Scalar } {
  const [, classes] = logits.shape;
  // Cast: TensorFlow.js's kernel for WebAssembly leaves whole numbers in a result that it calls float32.
  const targets = tf.cast(tf.oneHot(labels, classes), 'float32');
  const ofClass = tf.sum(tf.mul(logits, targets), 1);
  const loss: Scalar = tf.mean(tf.sub(tf.logSumExp(logits, 1), ofClass));
  const accuracy: Scalar = tf.mean(tf.cast(tf.equal(tf.argMax(logits, 1), labels), 'float32'));
  return { loss, accuracy };
}
