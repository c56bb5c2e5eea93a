/**
 * What pretexts share that tell classes apart which the data itself gives: several pictures of an image go through one backbone, a head makes
 * logits of their pooled features, and softmax cross-entropy holds these to labels that are known without anybody's work.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Ranks } from '../../engine/ranks.js';
import type { Method, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { differentiate } from '../network/differentiate.js';
import { type Layers, Network } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { parameterGroups } from '../network/parameter-groups.js';
import type { NetworkSpecs } from '../network/parameters.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { viewOf } from './views.js';

export interface PretextParts {
  readonly resNet: ResNet;
  readonly heads: readonly NetworkSpecs[];
  /** The view, of several pictures an image. */
  readonly view: string;
  /** Which parameters decay. */
  readonly decay: 'all' | 'weights';
}

export abstract class PretextMethod<Options extends { readonly bnGroups: number }> implements Method {
  readonly parameters: readonly ParameterGroup[];
  readonly views: readonly string[];
  readonly exchanged = [];
  readonly terms = ['accuracy'];
  readonly dimensions: number;
  readonly featureStage = LAST_STAGE;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly encoders = { query: 'online' };
  readonly host = {};
  protected readonly options: Options;
  protected readonly ranks: Ranks;
  readonly #resNet: ResNet;
  readonly #network: Network;

  constructor(engine: Engine, options: Options, { resNet, heads, view, decay }: PretextParts, seed: number) {
    this.options = options;
    this.ranks = engine.ranks;
    this.views = [view];
    this.dimensions = resNet.channels[LAST_STAGE];
    this.#resNet = resNet;
    this.#network = new Network(engine, [resNet, ...heads], { bnGroups: options.bnGroups, seed });
    this.parameters = parameterGroups(this.#network.parameters, decay);
    this.backbone = new Backbone(this.#network, resNet);
    this.sections = { online: this.#network.tensors };
  }

  /** Among them `labels`, the class of each row of logits: int32, from 0. */
  abstract inputs(at: StepAt): NamedTensors;

  /** @param features of the pictures, image by image, [N, pictures, C]; @returns logits [rows, classes] */
  protected abstract logits(layers: Layers, features: Tensor3D, inputs: NamedTensors): Tensor2D;

  /** Of an image, [N, pictures, C] -> [N, C]. */
  protected abstract imageFeatures(features: Tensor3D): Tensor2D;

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const view = viewOf<Tensor5D>(views, this.views[0] as string, this.options, this.ranks.size);
    const [images, pictures, ...picture] = view.shape;
    const result = differentiate(this.#network, (layers) => {
      const rows = tf.reshape(view, [images * pictures, ...picture]) as Tensor4D;
      const pooled = lastStage(this.#resNet, layers, rows, globalAverage);
      const features = tf.reshape(pooled, [images, pictures, this.dimensions]) as Tensor3D;
      const { loss, accuracy } = classification(this.logits(layers, features, inputs), inputs['labels'] as Tensor1D);
      const ofImages = this.imageFeatures(features);
      const featureStd = deviation(l2Normalise(ofImages), this.ranks);
      return { loss, terms: { accuracy }, featureStd, features: ofImages };
    });
    return { ...result, carry: {} };
  }

  settle(): void {}

  advance(): void {}

  dispose(): void {
    this.#network.dispose();
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
