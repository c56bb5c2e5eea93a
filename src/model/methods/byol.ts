/**
 * BYOL (Grill et al., NeurIPS 2020, arXiv 2006.07733): an online network predicts what a slowly moving target makes of the other view.
 *
 *   view1  ->  online: backbone, projector, predictor  ->  q1        target: backbone, projector  ->  z1'
 *   view2  ->                                              q2                                         z2'
 *
 *   L = |q1 - z2'|^2 + |q2 - z1'|^2, all of unit length: 2 - 2 cos, each a mean over images    (Eq. 2)
 *   target <- tau target + (1 - tau) online, after the optimizer;  tau from `keyMomentum` to 1 by cosine (section 3.2)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Ranks } from '../../engine/ranks.js';
import type { Method, MethodKind, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { differentiate, encode } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { type Layers, Network } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { parameterGroups } from '../network/parameter-groups.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, networkExcess } from './options.js';
import { viewOf } from './views.js';

const VIEWS = ['view1', 'view2'] as const;

const schema = z.strictObject({
  name: z.literal('byol'),
  ...backboneOptions,
  /** Hidden width of projector and predictor. */
  hidden: channels.default(4096),
  /** Dimensions of a projection. */
  dim: channels.default(256),
  /** tau at the beginning. */
  keyMomentum: z.number().min(0).max(1).default(0.996),
  /** One: the statistics of the whole batch, as the paper's are of all devices. */
  bnGroups: bnGroups.default(1),
});
type ByolOptions = Readonly<z.output<typeof schema>>;

export const byol = {
  name: 'byol',
  schema,
  presets: {
    /** The rate, decay and tau of the authors' code for 300 epochs. */
    'byol-r50': {
      method: { keyMomentum: 0.99 },
      recipe: { name: 'byol' },
      batch: 256,
      lr: 0.3,
      epochs: 300,
      warmupEpochs: 10,
      schedule: { kind: 'cosine' },
      optimizer: { name: 'lars', weightDecay: 1e-6 },
    },
    'tiny-byol': {
      method: { arch: 'resnet18', width: 16, hidden: 256, dim: 64, keyMomentum: 0.97 },
      recipe: { name: 'byol', globalSize: 48 },
      batch: 32,
      lr: 0.4,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ view1: 'image', view2: 'image' }),
  check: (options, { batch }) => checkHeadGroups(options, batch),
  excess(options, { bytes }) {
    const { net, projector, predictor } = networkOf(options);
    const online = [net, projector, predictor];
    return networkExcess(options, [...online, ...online, net, projector], bytes);
  },
  create: (engine: Engine, options: ByolOptions, seed: number): Method => new Byol(engine, options, seed),
} satisfies MethodKind<ByolOptions>;

function networkOf(options: ByolOptions): { readonly net: ResNet; readonly projector: Mlp; readonly predictor: Mlp } {
  const net = resNet(options);
  const { hidden, dim } = options;
  const shape = { norm: 'hidden', bias: 'hidden' } as const;
  return {
    net,
    projector: mlp('projector', [net.channels[LAST_STAGE], hidden, dim], shape),
    predictor: mlp('predictor', [dim, hidden, dim], shape),
  };
}

class Byol implements Method {
  readonly parameters: readonly ParameterGroup[];
  readonly views = VIEWS;
  readonly exchanged = [];
  readonly terms = VIEWS;
  readonly dimensions: number;
  readonly featureStage = LAST_STAGE;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly encoders = { query: 'online', key: 'target' };
  readonly host = {};
  readonly #options: ByolOptions;
  readonly #ranks: Ranks;
  readonly #resNet: ResNet;
  readonly #projector: Mlp;
  readonly #predictor: Mlp;
  readonly #online: Network;
  readonly #target: Network;

  constructor(engine: Engine, options: ByolOptions, seed: number) {
    this.#options = options;
    this.#ranks = engine.ranks;
    this.dimensions = options.dim;
    const { net, projector, predictor } = networkOf(options);
    this.#resNet = net;
    this.#projector = projector;
    this.#predictor = predictor;
    const { bnGroups: groups } = options;
    this.#online = new Network(engine, [net, projector, predictor], { bnGroups: groups, seed });
    this.#target = new Network(engine, [net, projector], { bnGroups: groups, copyOf: this.#online });
    this.parameters = parameterGroups(this.#online.parameters, 'weights');
    this.backbone = new Backbone(this.#online, this.#resNet);
    this.sections = { online: this.#online.tensors, target: this.#target.tensors };
  }

  /** 1 - tau, which follows the run: tau = 1 - (1 - keyMomentum) (cos(pi progress) + 1) / 2. */
  inputs({ progress }: StepAt): NamedTensors {
    return { pace: tf.scalar(((1 - this.#options.keyMomentum) * (Math.cos(Math.PI * progress) + 1)) / 2) };
  }

  step(views: StepViews): StepResult {
    const [view1, view2] = VIEWS.map((name) => viewOf(views, name, this.#options, this.#ranks.size)) as [Tensor4D, Tensor4D];
    const [z1, z2] = [this.#encodeTarget(view1), this.#encodeTarget(view2)];
    const result = differentiate(this.#online, (layers) => {
      const [first, second] = [this.#predict(layers, view1), this.#predict(layers, view2)];
      const terms = { view1: distance(first.q, z2), view2: distance(second.q, z1) };
      const featureStd = deviation(l2Normalise(first.projection), this.#ranks);
      return { loss: tf.add(terms.view1, terms.view2), terms, featureStd, features: first.features };
    });
    tf.dispose([z1, z2]);
    return { ...result, carry: {} };
  }

  settle(_carry: NamedTensors, { pace }: NamedTensors): void {
    this.#target.follow(this.#online, [...this.#target.parameters.keys()], pace as Scalar);
  }

  advance(): void {}

  dispose(): void {
    this.#online.dispose();
    this.#target.dispose();
  }

  /** z' of unit length, without gradient. */
  #encodeTarget(images: Tensor4D): Tensor2D {
    return encode(this.#target, (layers) => l2Normalise(this.#project(layers, images).projection));
  }

  /** Features, their projection, and what the predictor makes of that, of unit length. */
  #predict(layers: Layers, images: Tensor4D): { features: Tensor2D; projection: Tensor2D; q: Tensor2D } {
    const { features, projection } = this.#project(layers, images);
    return { features, projection, q: l2Normalise(this.#predictor.forward(layers, projection)) };
  }

  #project(layers: Layers, images: Tensor4D): { features: Tensor2D; projection: Tensor2D } {
    const features = lastStage(this.#resNet, layers, images, globalAverage);
    return { features, projection: this.#projector.forward(layers, features) };
  }
}

/** 2 - 2 cos of rows of unit length, [N, D], the mean over rows. */
function distance(q: Tensor2D, z: Tensor2D): Scalar {
  return tf.sub(2, tf.mul(2, tf.mean(tf.sum(tf.mul(q, z), 1))));
}
