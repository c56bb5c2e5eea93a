/**
 * Jigsaw classification (Noroozi & Favaro, ECCV 2016, arXiv 1603.09246; on ResNets Goyal et al., ICCV 2019, arXiv 1905.01235): by which of
 * a set of permutations were the nine patches of an image shuffled?
 *
 *   patches [N,9,h,w,3]  ->  encoder, Linear, BN, ReLU, each patch for itself  ->  [N,9,hidden]
 *   put in the order of the permutation y that was drawn for the image, one after the other [N, 9 hidden]  ->  Linear  ->  logits [N, permutations]
 *
 *   L = 1/N sum over images of -log softmax(logits)_y
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { Random, streamId } from '../../common/random.js';
import type { Method, MethodKind, StepAt } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, count, fitBnGroups, networkExcess } from './options.js';
import { CELLS, patchesInPlace } from './patch-places.js';
import { permutationSet } from './permutation-set.js';
import { PretextMethod } from './pretext-method.js';

const VIEW = 'patches';

const schema = z.strictObject({
  name: z.literal('jigsaw'),
  ...backboneOptions,
  /** Classes; Goyal et al. go to 10,000. */
  permutations: count.min(2).max(10_000).default(1000),
  /** Dimensions of a patch before the nine are put together. */
  hidden: channels.default(1000),
  /** The patches of an image are in one group. */
  bnGroups: bnGroups.default(8),
});
type JigsawOptions = Readonly<z.output<typeof schema>>;

export const jigsaw = {
  name: 'jigsaw',
  schema,
  presets: {
    /** VISSL's jigsaw_8gpu_resnet: 8 GPUs with 32 images each. */
    'jigsaw-r50': {
      method: { permutations: 2000 },
      recipe: { name: 'jigsaw' },
      batch: 256,
      lr: 0.1,
      epochs: 105,
      warmupEpochs: 5,
      schedule: { kind: 'step', milestones: [30, 60, 90, 100], factor: 0.1 },
      optimizer: { name: 'sgd', weightDecay: 1e-4 },
    },
    'tiny-jigsaw': {
      method: { arch: 'resnet18', width: 16, hidden: 64, permutations: 24, bnGroups: 1 },
      recipe: { name: 'jigsaw', globalSize: 84 },
      batch: 32,
      lr: 0.4,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ [VIEW]: 'jigsaw' }),
  fit: fitBnGroups,
  check: (options, { batch }) => checkHeadGroups(options, batch, CELLS),
  excess(options, { bytes }) {
    const { net, patch, head } = networkOf(options);
    return networkExcess(options, [net, patch, head, net, patch, head], bytes);
  },
  create: (engine: Engine, options: JigsawOptions, seed: number): Method => new Jigsaw(engine, options, seed),
} satisfies MethodKind<JigsawOptions>;

function networkOf(options: JigsawOptions): { readonly net: ResNet; readonly patch: Mlp; readonly head: Mlp } {
  const net = resNet(options);
  const { hidden, permutations } = options;
  return {
    net,
    patch: mlp('patch', [net.channels[LAST_STAGE], hidden], { norm: 'all', bias: 'none' }),
    head: mlp('head', [CELLS * hidden, permutations]),
  };
}

class Jigsaw extends PretextMethod<JigsawOptions> {
  readonly #patch: Mlp;
  readonly #head: Mlp;
  /** The cell that a class has at each place. */
  readonly #permutations: readonly Int32Array[];
  readonly #seed: number;

  constructor(engine: Engine, options: JigsawOptions, seed: number) {
    const { net, patch, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [patch, head], view: VIEW, decay: 'weights' }, seed);
    this.#patch = patch;
    this.#head = head;
    this.#permutations = permutationSet(options.permutations, seed);
    this.#seed = seed;
  }

  /** The class of each image, and in its order the rows of the image's patches among those of all images. */
  inputs({ samples, step, batch, rows }: StepAt): NamedTensors {
    const random = new Random(this.#seed, streamId('jigsaw.classes'), step);
    const drawn = Int32Array.from({ length: batch }, () => random.below(this.#permutations.length));
    const places = patchesInPlace(samples, VIEW);
    const first = this.engine.ranks.rank * places.length;
    const labels = places.map((_, i) => drawn[rows?.[first + i] ?? first + i] as number);
    const ordered = labels.flatMap((label, image) => {
      const permutation = this.#permutations[label] as Int32Array;
      return Array.from(permutation, (cell) => image * CELLS + (places[image]?.[cell] as number));
    });
    return { labels: tf.tensor1d(labels, 'int32'), ordered: tf.tensor1d(ordered, 'int32') };
  }

  protected logits(layers: Layers, features: Tensor3D, { ordered }: NamedTensors): Tensor2D {
    const patches = tf.relu(this.#patch.forward(layers, tf.reshape(features, [-1, this.dimensions])));
    return this.#head.forward(layers, tf.reshape(tf.gather(patches, ordered as Tensor1D), [-1, CELLS * this.options.hidden]));
  }

  /** The mean over the patches. */
  protected imageFeatures(features: Tensor3D): Tensor2D {
    return tf.mean(features, 1);
  }
}
