/**
 * InstDis (Wu et al., CVPR 2018, arXiv 1805.01978): each image is a class of its own, whose weight is what the network made of it an epoch ago.
 *
 *   image [N,H,W,3]  ->  encoder  ->  v [N, dim]     bank [n, dim], an entry f_i for each image of the data
 *
 *   L = -log h(i, v) - sum over m random entries j of log(1 - h(j, v))                       (Eq. 7)
 *   h(i, v) = P / (P + m/n),  P = exp(v.f_i/tau) / Z                                          (Eq. 5, 6)
 *   f_i <- normalise(0.5 f_i + 0.5 v), after the step
 */
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { BankMethod } from './bank-method.js';
import { bankConcern, bankExcess, bankForImages, bankOptions } from './bank-options.js';
import { checkHeadGroups, networkExcess } from './options.js';

const VIEW = 'image';
const VIEWS = { [VIEW]: 'image' } as const;

const schema = z.strictObject({ name: z.literal('instdis'), ...bankOptions });
type InstDisOptions = Readonly<z.output<typeof schema>>;

export const instdis = {
  name: 'instdis',
  schema,
  presets: {
    /** Section 4.1 and the authors' code. */
    'instdis-r50': {
      method: {},
      recipe: { name: 'mocoV1' },
      batch: 256,
      lr: 0.03,
      epochs: 200,
      schedule: { kind: 'step', milestones: [120, 160], factor: 0.1 },
    },
    'tiny-instdis': {
      method: { arch: 'resnet18', width: 16, dim: 64, loss: 'softmax', negatives: 256, temperature: 0.1 },
      recipe: { name: 'mocoV1', globalSize: 48 },
      batch: 32,
      lr: 0.03,
      epochs: 20,
      warmupSteps: 40,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => VIEWS,
  forImages: (options, images) => bankForImages(options, images),
  check: (options, { batch }) => checkHeadGroups(options, batch),
  excess(options, { bytes }) {
    const { net, head } = networkOf(options);
    return bankExcess(options, bytes) ?? networkExcess(options, [net, head, net, head], bytes);
  },
  concern: (options, data) => bankConcern(options, data),
  create: (engine: Engine, options: InstDisOptions, seed: number): Method => new InstDis(engine, options, seed),
} satisfies MethodKind<InstDisOptions>;

function networkOf(options: InstDisOptions): { readonly net: ResNet; readonly head: Mlp } {
  const net = resNet(options);
  return { net, head: mlp('head', [net.channels[LAST_STAGE], options.dim]) };
}

class InstDis extends BankMethod<InstDisOptions> {
  readonly views = [VIEW];
  readonly terms = [];
  readonly #resNet: ResNet;
  readonly #head: Mlp;

  constructor(engine: Engine, options: InstDisOptions, seed: number) {
    const { net, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [head], held: [VIEW], decay: 'all' }, seed);
    this.#resNet = net;
    this.#head = head;
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const images = this.view<Tensor4D>(views, VIEW);
    const rows = this.rows(inputs);
    return differentiate(this.network, (layers) => {
      const features: Tensor2D = lastStage(this.#resNet, layers, images, globalAverage);
      const v = l2Normalise(this.#head.forward(layers, features));
      const { terms, carry } = this.against(rows, inputs, { [VIEW]: v }, v);
      return { loss: terms[VIEW] as StepResult['loss'], terms: {}, featureStd: deviation(v, this.engine.ranks), features, carry };
    });
  }
}
