/**
 * Rotation (Gidaris et al., ICLR 2018, arXiv 1803.07728): by how many quarter turns was an image turned?
 *
 *   rotations [N,4,H,W,3], turned by y = 0, 1, 2, 3 quarter turns  ->  one batch of 4N  ->  encoder, Linear  ->  logits [4N, 4]
 *
 *   L = 1/4N sum over images and y of -log softmax(logits)_y                                   (Eqs. 2 and 3)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepAt } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { backboneOptions, bnGroups, checkHeadGroups, fitBnGroups, networkExcess } from './options.js';
import { PretextMethod } from './pretext-method.js';

const VIEW = 'rotations';
const TURNS = 4;

const schema = z.strictObject({
  name: z.literal('rotation'),
  ...backboneOptions,
  /** The turns of an image are in one group. */
  bnGroups: bnGroups.default(8),
});
type RotationOptions = Readonly<z.output<typeof schema>>;

export const rotation = {
  name: 'rotation',
  schema,
  presets: {
    /** OpenSelfSup's rotation_pred r50: rate 0.2 for 128 images, 8 GPUs with 16 each. */
    'rotation-r50': {
      method: {},
      recipe: { name: 'rotation' },
      batch: 128,
      lr: 0.4,
      epochs: 70,
      warmupEpochs: 5,
      schedule: { kind: 'step', milestones: [30, 50], factor: 0.1 },
      optimizer: { name: 'sgd', weightDecay: 1e-4 },
    },
    'tiny-rotation': {
      method: { arch: 'resnet18', width: 16, bnGroups: 1 },
      recipe: { name: 'rotation', globalSize: 48 },
      batch: 32,
      lr: 0.4,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ [VIEW]: 'rotations' }),
  fit: fitBnGroups,
  check: (options, { batch }) => checkHeadGroups(options, batch, TURNS),
  excess(options, { bytes }) {
    const { net, head } = networkOf(options);
    return networkExcess(options, [net, head, net, head], bytes);
  },
  create: (engine: Engine, options: RotationOptions, seed: number): Method => new Rotation(engine, options, seed),
} satisfies MethodKind<RotationOptions>;

function networkOf(options: RotationOptions): { readonly net: ResNet; readonly head: Mlp } {
  const net = resNet(options);
  return { net, head: mlp('head', [net.channels[LAST_STAGE], TURNS]) };
}

class Rotation extends PretextMethod<RotationOptions> {
  readonly #head: Mlp;

  constructor(engine: Engine, options: RotationOptions, seed: number) {
    const { net, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [head], view: VIEW, decay: 'all' }, seed);
    this.#head = head;
  }

  inputs({ batch }: StepAt): NamedTensors {
    const rows = (TURNS * batch) / this.engine.ranks.size;
    return {
      labels: tf.tensor1d(
        Int32Array.from({ length: rows }, (_, row) => row % TURNS),
        'int32',
      ),
    };
  }

  protected logits(layers: Layers, features: Tensor3D): Tensor2D {
    return this.#head.forward(layers, tf.reshape(features, [-1, this.dimensions]));
  }

  /** Of the picture that is not turned. */
  protected imageFeatures(features: Tensor3D): Tensor2D {
    const [images] = features.shape;
    return tf.reshape(tf.slice(features, [0, 0, 0], [images, 1, this.dimensions]), [images, this.dimensions]);
  }
}
