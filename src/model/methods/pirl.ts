/**
 * PIRL (Misra & van der Maaten, CVPR 2020, arXiv 1912.01991): a bank's entry of an image is what its shuffled patches are to be recognised as, too.
 *
 *   image   [N,H,W,3]    ->  backbone            ->  head f  [N, dim]
 *   patches [N,9,h,w,3]  ->  backbone, each apart -> head of one [9N, dim]  ->  side by side, head g [N, dim]
 *
 *   L = lambda L_NCE(entry, g) + (1 - lambda) L_NCE(entry, f)                                  (Eq. 5)
 *   entry <- normalise(0.5 entry + 0.5 f), after the step
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { BankMethod } from './bank-method.js';
import { bankConcern, bankExcess, bankForImages, bankOptions } from './bank-options.js';
import { checkHeadGroups, networkExcess } from './options.js';

const VIEWS = { image: 'image', patches: 'jigsaw' } as const;
const PATCHES = 9;

const schema = z.strictObject({
  name: z.literal('pirl'),
  ...bankOptions,
  negatives: bankOptions.negatives.unwrap().default(32000),
  /** lambda, the share of the loss of patches. */
  lossWeight: z.number().min(0.001).max(0.999).default(0.5),
});
type PirlOptions = Readonly<z.output<typeof schema>>;

export const pirl = {
  name: 'pirl',
  schema,
  presets: {
    /** The authors' code: VISSL, pirl_jigsaw_4node_resnet50.yaml. */
    'pirl-r50': {
      method: {},
      recipe: { name: 'pirl' },
      batch: 1024,
      lr: 0.03,
      epochs: 800,
      schedule: { kind: 'cosine' },
    },
    'tiny-pirl': {
      method: { arch: 'resnet18', width: 16, dim: 64, loss: 'softmax', negatives: 256, temperature: 0.1 },
      recipe: { name: 'pirl', globalSize: 48, patchSize: 24 },
      batch: 32,
      lr: 0.1,
      epochs: 60,
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
    const { net, heads } = networkOf(options);
    const network = [net, ...Object.values(heads)];
    return bankExcess(options, bytes) ?? networkExcess(options, [...network, ...network], bytes);
  },
  concern: (options, data) => bankConcern(options, data),
  create: (engine: Engine, options: PirlOptions, seed: number): Method => new Pirl(engine, options, seed),
} satisfies MethodKind<PirlOptions>;

/** Of a whole image, of one patch, and of the nine patches of an image. */
type Heads = Readonly<Record<'image' | 'patch' | 'patches', Mlp>>;

function networkOf(options: PirlOptions): { readonly net: ResNet; readonly heads: Heads } {
  const net = resNet(options);
  const { dim } = options;
  const inputs = net.channels[LAST_STAGE];
  const heads = {
    image: mlp('head.image', [inputs, dim]),
    patch: mlp('head.patch', [inputs, dim]),
    patches: mlp('head.patches', [PATCHES * dim, dim]),
  };
  return { net, heads };
}

class Pirl extends BankMethod<PirlOptions> {
  readonly views = Object.keys(VIEWS);
  readonly terms = Object.keys(VIEWS);
  readonly #resNet: ResNet;
  readonly #heads: Heads;

  constructor(engine: Engine, options: PirlOptions, seed: number) {
    const { net, heads } = networkOf(options);
    super(engine, options, { resNet: net, heads: Object.values(heads), held: Object.keys(VIEWS), decay: 'weights' }, seed);
    this.#resNet = net;
    this.#heads = heads;
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const images = this.view<Tensor4D>(views, 'image');
    const patches = this.#patches(views);
    const rows = this.rows(inputs);
    const { lossWeight } = this.options;
    return differentiate(this.network, (layers) => {
      const features: Tensor2D = lastStage(this.#resNet, layers, images, globalAverage);
      const image = l2Normalise(this.#heads.image.forward(layers, features));
      const { terms, carry } = this.against(rows, inputs, { image, patches: this.#embedPatches(layers, patches) }, image);
      const { image: ofImage, patches: ofPatches } = terms as { image: Scalar; patches: Scalar };
      const loss: Scalar = tf.add(tf.mul(lossWeight, ofPatches), tf.mul(1 - lossWeight, ofImage));
      return { loss, terms, featureStd: deviation(image, this.engine.ranks), features, carry };
    });
  }

  /** [N, dim], unit norm. The patches of an image are side by side in the order that they come in, which is random. */
  #embedPatches(layers: Layers, patches: Tensor5D): Tensor2D {
    const each = tf.reshape(patches, [-1, ...patches.shape.slice(2)] as [number, number, number, number]);
    const features: Tensor2D = lastStage(this.#resNet, layers, each as Tensor4D, globalAverage); // [9N, C]
    const embedded = this.#heads.patch.forward(layers, features);
    return l2Normalise(this.#heads.patches.forward(layers, tf.reshape(embedded, [-1, PATCHES * this.options.dim])));
  }

  #patches(views: StepViews): Tensor5D {
    const patches = this.view<Tensor5D>(views, 'patches');
    if (patches.rank === 5 && patches.shape[1] === PATCHES) return patches;
    throw new RangeError(`The view "patches" is [${patches.shape.join(', ')}]; expected [N, ${PATCHES}, h, w, 3]`);
  }
}
