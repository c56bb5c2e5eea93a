/**
 * MoCo v1 (He et al., CVPR 2020, arXiv 1911.05722) and v2 (Chen et al. 2020, arXiv 2003.04297): one query view, one key view, one queue.
 *
 *   globalQ  ->  query encoder  ->  q [N, dim]
 *   globalK  ->  key encoder    ->  k [N, dim]  ->  queue [K, dim]
 *
 *   L = -log( exp(q.k/tau) / (exp(q.k/tau) + sum over the queue of exp(q.n/tau)) )            (v1, Eq. 1)
 *
 * v2 is v1 with an MLP for a head, temperature 0.2 in place of 0.07, blur among the augmentations and a cosine schedule.
 */
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { oneOf } from '../../common/one-of.js';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { HostState, Method, MethodKind, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { MomentumPair } from '../network/momentum.js';
import type { Network, Statistics } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { parameterGroups } from '../network/parameter-groups.js';
import { globalAverage, stages } from '../network/resnet.js';
import { backboneOptions, channels, checkBnGroups, checkQueue, fitBnGroups, queueConcern, queueExcess, queueOptions } from './options.js';
import { viewOf } from './views.js';

const schema = z.strictObject({
  name: z.literal('moco'),
  ...backboneOptions,
  /** `mlp`: Linear, ReLU, Linear (v2); `linear`: one Linear (v1). */
  head: oneOf(['mlp', 'linear']).default('mlp'),
  /** Hidden width of the MLP; by default the channels of the backbone. */
  hidden: channels.optional(),
  ...queueOptions,
});
type MocoOptions = Readonly<z.output<typeof schema>>;

/** MoCo's README. */
const IMAGENET = { batch: 256, lr: 0.03, epochs: 200 } as const;
const VIEWS = ['globalQ', 'globalK'];
/** The only queue, and what is permuted. */
const QUEUE = 'global';

export const moco = {
  name: 'moco',
  schema,
  presets: {
    'moco-v2-r50': { ...IMAGENET, method: {}, recipe: { name: 'mocoV2' }, schedule: { kind: 'cosine' } },
    'moco-v1-r50': {
      ...IMAGENET,
      method: { head: 'linear', temperature: 0.07 },
      recipe: { name: 'mocoV1' },
      schedule: { kind: 'step', milestones: [120, 160], factor: 0.1 },
    },
    'tiny-moco': {
      method: { arch: 'resnet18', width: 16, dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 },
      recipe: { name: 'mocoV2', globalSize: 48 },
      batch: 32,
      lr: 0.24,
      epochs: 20,
      warmupSteps: 40,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => VIEWS,
  fit: fitBnGroups,
  check(options, { batch }) {
    checkQueue(options, batch);
    checkBnGroups(options, batch);
  },
  excess: (options, run) => queueExcess(options, 1, run),
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: MocoOptions, seed: number): Method => new Moco(engine, options, seed),
} satisfies MethodKind<MocoOptions>;

class Moco implements Method {
  readonly parameters: readonly ParameterGroup[];
  readonly views = VIEWS;
  readonly terms = [];
  readonly dimensions: number;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly #engine: Engine;
  readonly #options: MocoOptions;
  readonly #resNet: ResNet;
  readonly #head: Mlp;
  readonly #pair: MomentumPair;

  constructor(engine: Engine, options: MocoOptions, seed: number) {
    this.#engine = engine;
    this.#options = options;
    this.dimensions = options.dim;
    this.#resNet = resNet(options);
    const inputs = this.#resNet.channels[LAST_STAGE];
    this.#head = mlp('head', [inputs, ...(options.head === 'linear' ? [] : [options.hidden ?? inputs]), options.dim]);
    const specs = [this.#resNet, this.#head];
    this.#pair = new MomentumPair(engine, specs, options, { queues: [QUEUE], views: [QUEUE] }, seed);
    this.parameters = parameterGroups(this.#pair.query.parameters, 'all');
    this.backbone = new Backbone(this.#pair.query, this.#resNet);
    this.sections = this.#pair.sections;
  }

  inputs(at: StepAt): NamedTensors {
    return this.#pair.inputs(at);
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const { temperature } = this.#options;
    this.#pair.follow(this.#pair.query.parameters);
    const embed = (network: Network, images: Tensor, statistics: Statistics) => ({ k: this.#embed(network, images, statistics) });
    const { k } = this.#pair.keys(viewOf(views, 'globalK', this.#options), inputs, QUEUE, embed);
    const images = viewOf(views, 'globalQ', this.#options);
    const { loss, watched, gradients } = differentiate(this.#pair.query, this.#pair.query.parameters, (watch, statistics) => {
      const q = this.#embed(this.#pair.query, images, statistics);
      watch('featureStd', deviation(q));
      return this.#engine.infoNce(q, k as Tensor2D, this.#pair.queue(QUEUE), temperature);
    });
    return { loss, terms: {}, gradients, featureStd: watched['featureStd'] as Scalar, carry: { [QUEUE]: k } };
  }

  settle(keys: NamedTensors, inputs: NamedTensors): void {
    this.#pair.enqueue(keys, inputs);
  }

  advance(images: number): void {
    this.#pair.advance(images);
  }

  get host(): HostState {
    return this.#pair.host;
  }

  set host(state: HostState) {
    this.#pair.host = state;
  }

  dispose(): void {
    this.#pair.dispose();
  }

  #embed(network: Network, images: Tensor, statistics: Statistics): Tensor2D {
    const layers = network.train(statistics);
    const features = stages(this.#resNet, layers, images as Tensor4D, globalAverage)[LAST_STAGE];
    return l2Normalise(this.#head.forward(layers, features));
  }
}
