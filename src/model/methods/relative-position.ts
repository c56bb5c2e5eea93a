/**
 * Relative patch position (Doersch et al., ICCV 2015, arXiv 1505.05192): where does a patch lie, seen from the centre?
 *
 *   patches [N,9,h,w,3] of a 3x3 grid with gaps  ->  encoder, each patch for itself  ->  features [N,9,C]
 *   each of the 8 neighbours beside the centre [8N, 2C]  ->  Linear, BN, ReLU, Linear  ->  logits [8N, 8]
 *
 *   L = 1/8N sum over images and neighbours y of -log softmax(logits)_y
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepAt } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, fitBnGroups, networkExcess } from './options.js';
import { CELLS, patchesInPlace } from './patch-places.js';
import { PretextMethod } from './pretext-method.js';

const VIEW = 'patches';
const CENTRE = 4;
/** The classes, row by row. */
const NEIGHBOURS = [0, 1, 2, 3, 5, 6, 7, 8];

const schema = z.strictObject({
  name: z.literal('relative-position'),
  ...backboneOptions,
  /** Hidden width of the head. */
  hidden: channels.default(4096),
  /** The patches of an image are in one group. */
  bnGroups: bnGroups.default(8),
});
type RelativePositionOptions = Readonly<z.output<typeof schema>>;

export const relativePosition = {
  name: 'relative-position',
  schema,
  presets: {
    /** OpenSelfSup's relative_loc r50: rate 0.2 for 512 images, 8 GPUs with 64 each. */
    'relative-position-r50': {
      method: {},
      recipe: { name: 'jigsaw' },
      batch: 512,
      lr: 0.1,
      epochs: 70,
      warmupEpochs: 5,
      schedule: { kind: 'step', milestones: [30, 50], factor: 0.1 },
      optimizer: { name: 'sgd', weightDecay: 1e-4 },
    },
    'tiny-relative-position': {
      method: { arch: 'resnet18', width: 16, hidden: 128, bnGroups: 1 },
      recipe: { name: 'jigsaw', globalSize: 84 },
      batch: 32,
      lr: 0.1,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ [VIEW]: 'jigsaw' }),
  fit: fitBnGroups,
  check: (options, { batch }) => checkHeadGroups(options, batch, NEIGHBOURS.length),
  excess(options, { bytes }) {
    const { net, head } = networkOf(options);
    return networkExcess(options, [net, head, net, head], bytes);
  },
  create: (engine: Engine, options: RelativePositionOptions, seed: number): Method => new RelativePosition(engine, options, seed),
} satisfies MethodKind<RelativePositionOptions>;

function networkOf(options: RelativePositionOptions): { readonly net: ResNet; readonly head: Mlp } {
  const net = resNet(options);
  const head = mlp('head', [2 * net.channels[LAST_STAGE], options.hidden, NEIGHBOURS.length], { norm: 'hidden' });
  return { net, head };
}

class RelativePosition extends PretextMethod<RelativePositionOptions> {
  readonly #head: Mlp;

  constructor(engine: Engine, options: RelativePositionOptions, seed: number) {
    const { net, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [head], view: VIEW, decay: 'all' }, seed);
    this.#head = head;
  }

  /** Of each pair the rows of neighbour and centre among the patches of all images, and its class. */
  inputs({ samples }: StepAt): NamedTensors {
    const places = patchesInPlace(samples, VIEW);
    const ints = (values: number[]): Tensor1D => tf.tensor1d(values, 'int32');
    return {
      neighbours: ints(places.flatMap((of, image) => NEIGHBOURS.map((cell) => image * CELLS + (of[cell] as number)))),
      centres: ints(places.flatMap((of, image) => NEIGHBOURS.map(() => image * CELLS + (of[CENTRE] as number)))),
      labels: ints(places.flatMap(() => NEIGHBOURS.map((_, label) => label))),
    };
  }

  protected logits(layers: Layers, features: Tensor3D, { neighbours, centres }: NamedTensors): Tensor2D {
    const patches: Tensor2D = tf.reshape(features, [-1, this.dimensions]);
    const pairs = [neighbours, centres].map((rows) => tf.gather(patches, rows as Tensor1D));
    return this.#head.forward(layers, tf.concat(pairs, 1));
  }

  /** The mean over the patches. */
  protected imageFeatures(features: Tensor3D): Tensor2D {
    return tf.mean(features, 1);
  }
}
