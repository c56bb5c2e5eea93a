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
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import {
  backboneOptions,
  channels,
  checkHead,
  checkQueue,
  fitBnGroups,
  headOption,
  networkExcess,
  queueConcern,
  queueExcess,
  queueOptions,
} from './options.js';
import { QueueMethod } from './queue-method.js';

const schema = z.strictObject({
  name: z.literal('moco'),
  ...backboneOptions,
  /** `mlp` in v2, `linear` in v1. */
  head: headOption,
  /** Hidden width of the MLP; by default the channels of the backbone. */
  hidden: channels.optional(),
  ...queueOptions,
});
type MocoOptions = Readonly<z.output<typeof schema>>;

/** MoCo's README. */
const IMAGENET = { batch: 256, lr: 0.03, epochs: 200 } as const;
const VIEWS = { globalQ: 'image', globalK: 'image' } as const;
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
  implied: (options) => ({ hidden: resNet(options).channels[LAST_STAGE] }),
  fit: fitBnGroups,
  check(options, run) {
    checkHead(options, run);
    checkQueue(options, run);
  },
  excess(options, run) {
    const { net, head } = networkOf(options);
    const network = [net, head];
    return queueExcess(options, 1, run) ?? networkExcess(options, [...network, ...network, ...network], run.bytes);
  },
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: MocoOptions, seed: number): Method => new Moco(engine, options, seed),
} satisfies MethodKind<MocoOptions>;

function networkOf(options: MocoOptions): { readonly net: ResNet; readonly head: Mlp } {
  const net = resNet(options);
  const inputs = net.channels[LAST_STAGE];
  return { net, head: mlp('head', [inputs, ...(options.head === 'linear' ? [] : [options.hidden ?? inputs]), options.dim]) };
}

class Moco extends QueueMethod<MocoOptions> {
  readonly views = Object.keys(VIEWS);
  readonly terms = [];
  readonly #resNet: ResNet;
  readonly #head: Mlp;

  constructor(engine: Engine, options: MocoOptions, seed: number) {
    const { net, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [head], queues: [QUEUE], keyViews: { [QUEUE]: 'globalK' } }, seed);
    this.#resNet = net;
    this.#head = head;
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    this.follow();
    const keys = this.keys(this.view(views, 'globalK'), inputs, QUEUE, (layers, images) => ({
      k: this.#embed(layers, images).embedding,
    }));
    const {
      own: { k },
    } = keys;
    const images = this.view(views, 'globalQ');
    const result = differentiate(this.query, (layers) => {
      const { features, embedding: q } = this.#embed(layers, images);
      const loss = this.engine.infoNce(q, k, this.queue(QUEUE), this.options.temperature);
      return { loss, terms: {}, featureStd: deviation(q, this.engine.ranks), features };
    });
    return { ...result, carry: { [QUEUE]: this.kept(keys).k } };
  }

  /** Features [N, C], and what the head makes of them: [N, dim], unit norm. */
  #embed(layers: Layers, images: Tensor4D): { features: Tensor2D; embedding: Tensor2D } {
    const features = lastStage(this.#resNet, layers, images, globalAverage);
    return { features, embedding: l2Normalise(this.#head.forward(layers, features)) };
  }
}
