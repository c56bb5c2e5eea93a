/**
 * SwAV (Caron et al., NeurIPS 2020, arXiv 2006.09882): each crop of an image predicts how the others are shared out among prototypes.
 *
 *   global [N,2,H,W,3], local [N,crops,h,w,3]  ->  backbone, one pass a size  ->  projector  ->  z [N, 2 + crops, dim], unit norm
 *   scores = z C, prototypes C [dim, K], columns of unit norm
 *
 *   q_i = Sinkhorn-Knopp of the scores of global crop i of the whole batch, and of the queue i      (Eq. 3-5)
 *   l(v, i) = -sum over k of q_i[k] log softmax(scores_v / tau)[k]                                  (Eq. 2)
 *   L = mean over the global crops i of the mean over the other crops v of l(v, i)                  (Eq. 6)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D, Tensor5D, Variable } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { alone } from '../../engine/ranks.js';
import type { HostState, Method, MethodKind, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { constantOf, differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { MOST_CHANNELS, MOST_KEYS } from '../network/limits.js';
import { type Layers, Network } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { parameterGroups } from '../network/parameter-groups.js';
import type { NetworkSpecs } from '../network/parameters.js';
import { KeyQueues } from '../network/queue.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { sinkhorn } from '../network/sinkhorn.js';
import {
  backboneOptions,
  bnGroups,
  channels,
  checkHeadGroups,
  checkQueue,
  count,
  networkExcess,
  queueExcess,
  temperature,
} from './options.js';
import { viewOf } from './views.js';

/** The global crops, whose codes the others predict: each has a queue. */
const CODED = ['global1', 'global2'] as const;
const PROTOTYPES = 'prototypes.weight';
const epochs = z.int().min(0);

const schema = z.strictObject({
  name: z.literal('swav'),
  ...backboneOptions,
  /** Hidden width of the projector. */
  hidden: channels.default(2048),
  /** Dimensions of an embedding. */
  dim: channels.default(128),
  /** K. */
  prototypes: z.int().min(2).max(MOST_CHANNELS).default(3000),
  temperature: temperature.default(0.1),
  /** Of Sinkhorn-Knopp: the smaller, the nearer codes come to one prototype each. */
  epsilon: z.number().min(1e-4).max(1000).default(0.05),
  sinkhornIterations: count.max(1000).default(3),
  /** Epochs at the beginning in which prototypes stay where they are. */
  frozenEpochs: epochs.default(1),
  /** Embeddings of each queue, a multiple of the batch; 0 for no queue. */
  queueSize: z.int().min(0).max(MOST_KEYS).default(3840),
  /** Epochs before the queue is used. */
  queueEpoch: epochs.default(15),
  /** Whether the small crops are there; without them the two global ones predict each other. */
  multiCrop: z.boolean('expected true or false').default(true),
  /** One: the statistics of the whole batch, as the authors' code has them. */
  bnGroups: bnGroups.default(1),
});
type SwavOptions = Readonly<z.output<typeof schema>>;

export const swav = {
  name: 'swav',
  schema,
  presets: {
    /** scripts/swav_200ep_bs256_pretrain.sh of the authors' code. */
    'swav-r50': {
      method: {},
      recipe: { name: 'swav' },
      batch: 256,
      lr: 0.6,
      epochs: 200,
      schedule: { kind: 'cosine' },
      optimizer: { name: 'lars', weightDecay: 1e-6 },
    },
    'tiny-swav': {
      method: { arch: 'resnet18', width: 16, hidden: 256, dim: 64, prototypes: 32, temperature: 0.2, epsilon: 0.02, queueSize: 128 },
      recipe: { name: 'swav', globalSize: 48, localSize: 24, crops: 4 },
      batch: 64,
      lr: 1.6,
      epochs: 30,
      warmupSteps: 100,
      schedule: { kind: 'cosine' },
      evalEvery: 10,
      decodedCache: '100MB',
    },
  },
  views: ({ multiCrop }) => ({ global: 'multicrop', ...(multiCrop && { local: 'multicrop' }) }),
  check(options, run) {
    checkQueue(options, run);
    checkHeadGroups(options, run.batch, CODED.length);
    if (!run.resumed) checkPrototypes(options, run.batch);
  },
  excess(options, run) {
    const network = Object.values(networkOf(options));
    return queueExcess(options, CODED.length, run) ?? networkExcess(options, [...network, ...network], run.bytes);
  },
  create: (engine: Engine, options: SwavOptions, seed: number): Method => new Swav(engine, options, seed),
} satisfies MethodKind<SwavOptions>;

/** @throws RangeError for more prototypes than there are rows to share out among them (section 3.1) */
function checkPrototypes({ prototypes, queueSize }: SwavOptions, batch: number): void {
  const rows = batch + queueSize;
  if (prototypes <= rows) return;
  throw new RangeError(
    `method.prototypes ${prototypes} is more than the ${rows} embeddings that are shared out among them, batch ${batch} and ` +
      `queueSize (--queue-size) ${queueSize}: use method.prototypes ${rows} or fewer, or --queue-size ${Math.ceil((prototypes - batch) / batch) * batch} or more`,
  );
}

function networkOf(options: SwavOptions): { readonly net: ResNet; readonly projector: Mlp; readonly head: NetworkSpecs } {
  const { hidden, dim, prototypes } = options;
  const net = resNet(options);
  return {
    net,
    projector: mlp('projector', [net.channels[LAST_STAGE], hidden, dim], { norm: 'hidden' }),
    head: { parameters: [{ name: PROTOTYPES, shape: [dim, prototypes], start: { from: 'normal', deviation: 1 } }], buffers: [] },
  };
}

class Swav implements Method {
  readonly parameters: readonly ParameterGroup[];
  readonly views: readonly string[];
  readonly exchanged = [];
  readonly terms = CODED;
  readonly dimensions: number;
  readonly featureStage = LAST_STAGE;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly encoders = { query: 'online' };
  readonly #engine: Engine;
  readonly #options: SwavOptions;
  readonly #resNet: ResNet;
  readonly #projector: Mlp;
  readonly #network: Network;
  readonly #prototypes: Variable;
  readonly #queues: KeyQueues | undefined;

  constructor(engine: Engine, options: SwavOptions, seed: number) {
    this.#engine = engine;
    this.#options = options;
    this.dimensions = options.dim;
    this.views = Object.keys(swav.views(options));
    const { net, projector, head } = networkOf(options);
    this.#resNet = net;
    this.#projector = projector;
    this.#network = new Network(engine, [net, projector, head], { bnGroups: options.bnGroups, seed });
    this.#prototypes = this.#network.parameter(PROTOTYPES);
    this.#queues = options.queueSize > 0 ? new KeyQueues(engine, CODED, options.queueSize, options.dim, seed) : undefined;
    const { [PROTOTYPES]: _, ...others } = Object.fromEntries(this.#network.parameters);
    // Decay would move prototypes that have no gradient: LARS makes a step of a norm of its own even of the smallest.
    const apart = { variables: new Map([[PROTOTYPES, this.#prototypes]]), decay: false, adapted: true };
    this.parameters = [...parameterGroups(new Map(Object.entries(others)), 'all'), apart];
    this.backbone = new Backbone(this.#network, net);
    this.sections = { online: this.#network.tensors, ...(this.#queues && { queues: this.#queues.tensors }) };
  }

  /** Whether prototypes move; of the embeddings of queue and batch which count, [queueSize + batch]; and the queues' pointer. */
  inputs({ step, epoch = 0, batch }: StepAt): NamedTensors {
    const { queueSize, queueEpoch, frozenEpochs } = this.#options;
    const queueInUse = epoch >= queueEpoch && step * batch >= queueSize;
    return {
      moves: tf.scalar(epoch >= frozenEpochs ? 1 : 0),
      inUse: tf.tensor1d(new Float32Array(queueSize + batch).fill(1).fill(queueInUse ? 1 : 0, 0, queueSize)),
      ...(this.#queues && { pointer: this.#queues.pointerTensor() }),
    };
  }

  step(views: StepViews, { moves, inUse }: NamedTensors): StepResult {
    this.#normalisePrototypes();
    const crops = this.views.map((name) => viewOf<Tensor5D>(views, name, this.#options, this.#engine.ranks.size));
    assertCoded(crops[0]);
    const { gradients, ...result } = differentiate(this.#network, (layers) => this.#forward(layers, crops, inUse as Tensor1D));
    const { [PROTOTYPES]: gradient, ...others } = gradients;
    const moving = tf.mul(gradient as Tensor, moves as Scalar);
    gradient?.dispose();
    return { ...result, gradients: { ...others, [PROTOTYPES]: moving } };
  }

  /** Puts the embeddings of the global crops of all ranks in the place of the oldest. */
  settle(carry: NamedTensors, { pointer }: NamedTensors): void {
    this.#queues?.enqueue(carry, pointer as Scalar);
  }

  advance(images: number): void {
    this.#queues?.advance(images);
  }

  get host(): HostState {
    return this.#queues ? { pointer: this.#queues.pointer } : {};
  }

  set host({ pointer = Number.NaN }: HostState) {
    if (this.#queues) this.#queues.pointer = pointer;
  }

  dispose(): void {
    this.#network.dispose();
    this.#queues?.dispose();
  }

  #forward(layers: Layers, views: readonly Tensor5D[], inUse: Tensor1D): Omit<StepResult, 'gradients'> {
    const { ranks } = this.#engine;
    const { dim, temperature: tau } = this.#options;
    const features = views.map((crops) => this.#features(layers, crops));
    const all = tf.concat(features, 1);
    const [images, count, width] = all.shape;
    const z = l2Normalise(this.#projector.forward(layers, tf.reshape(all, [images * count, width])));
    const prototypes = tf.transpose(this.#prototypes) as Tensor2D; // [K, dim]
    const scores = tf.reshape(this.#engine.similarities(z, prototypes), [images, count, -1]) as Tensor3D;
    const coded = tf.slice(tf.reshape(z, [images, count, dim]), [0, 0, 0], [images, CODED.length, dim]);
    const gathered = constantOf(tf.reshape(coded, [images, -1]), (own) => tf.clone(ranks.gather(own as Tensor2D)));
    const [global1, global2] = tf.split(gathered, CODED.length, 1) as [Tensor2D, Tensor2D]; // of all ranks
    const losses = predictionLosses(tf.logSoftmax(tf.div(scores, tau)), [
      this.#codes('global1', global1, prototypes, inUse),
      this.#codes('global2', global2, prototypes, inUse),
    ]);
    return {
      loss: tf.div(tf.add(...losses), CODED.length),
      terms: { global1: losses[0], global2: losses[1] },
      featureStd: deviation(global1, alone),
      features: tf.squeeze(tf.slice(features[0] as Tensor3D, [0, 0, 0], [images, 1, width]), [1]) as Tensor2D,
      carry: { global1, global2 },
    };
  }

  /** Features of crops [N, crops, H, W, 3], those of an image next to each other and so in one batch norm group: [N, crops, C]. */
  #features(layers: Layers, crops: Tensor5D): Tensor3D {
    const [images, count, ...picture] = crops.shape;
    const features = lastStage(this.#resNet, layers, tf.reshape(crops, [images * count, ...picture]) as Tensor4D, globalAverage);
    return tf.reshape(features, [images, count, -1]);
  }

  /** Codes of this rank's images among those of all ranks and what the queue has, [n, K], without gradient. */
  #codes(name: string, embeddings: Tensor2D, prototypes: Tensor2D, inUse: Tensor1D): Tensor2D {
    const { ranks } = this.#engine;
    const { epsilon, sinkhornIterations: iterations } = this.#options;
    return constantOf(embeddings, (all) =>
      tf.tidy(() => {
        const rows = this.#queues ? tf.concat([this.#queues.get(name), all as Tensor2D]) : (all as Tensor2D);
        const codes = sinkhorn(this.#engine.similarities(rows, prototypes), inUse, { epsilon, iterations });
        const images = (all.shape[0] ?? 0) / ranks.size;
        return tf.slice(codes, [rows.shape[0] - (ranks.size - ranks.rank) * images, 0], [images, -1]);
      }),
    );
  }

  /** Prototypes of unit norm, as the authors' code has them before each step. */
  #normalisePrototypes(): void {
    // Not in one scope: a view of a variable may not be there when it changes.
    const unit = tf.tidy(() => tf.transpose(l2Normalise(tf.transpose(this.#prototypes) as Tensor2D)));
    this.#engine.lerp([this.#prototypes], [unit], 1);
    unit.dispose();
  }
}

function assertCoded(global: Tensor5D | undefined): void {
  const crops = global?.shape[1];
  if (crops === CODED.length) return;
  throw new RangeError(`The view "global" has ${crops} crops of an image: expected ${CODED.length}, those that have codes`);
}

/**
 * The mean of l(v, i) of Eq. 2 over images and the crops v other than i, for each i.
 *
 * @param predictions [N, crops, K], log softmax(scores / tau)
 * @param codes of the first crops, [N, K] each
 */
function predictionLosses(predictions: Tensor3D, codes: readonly [Tensor2D, Tensor2D]): [Scalar, Scalar] {
  const [images, crops, width] = predictions.shape;
  const sum = tf.sum(predictions, 1);
  const loss = (code: Tensor2D, i: number): Scalar => {
    const own = tf.squeeze(tf.slice(predictions, [0, i, 0], [images, 1, width]), [1]);
    return tf.neg(tf.div(tf.sum(tf.mul(code, tf.sub(sum, own))), images * (crops - 1)));
  };
  return [loss(codes[0], 0), loss(codes[1], 1)];
}
