/**
 * Colorization (Zhang et al., ECCV 2016, arXiv 1603.08511): which colours does a picture have whose lightness is seen?
 *
 *   L [N,H,W]      ->  backbone, decoder, linear  ->  logits [N,h,w,Q]
 *   a, b [N,H,W,2] ->  mean of each cell, shared among the bins next to it  ->  target Z [N,h,w,Q]
 *
 *   loss = -mean over cells of sum over q of Z_q log softmax(logits)_q      (Eq. 2 with v = 1)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { IMAGE_MEAN, IMAGE_STD } from '../../engine/images.js';
import type { Method, MethodKind, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { decoder, type Decoder, DOUBLINGS } from '../network/decoder.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { colourBins } from './colour-bins.js';
import { SingleNetworkMethod } from './single-network.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, networkExcess } from './options.js';
import { checkCells, viewOf } from './views.js';

const VIEW = 'lab';
/** Bins that share a colour, and the standard deviation of their shares over the distance to it (section 2.2). */
const NEIGHBOURS = 5;
const SIGMA = 5;
/** Of a and b, as bytes. */
const GREY = 128;

const schema = z.strictObject({
  name: z.literal('colorization'),
  ...backboneOptions,
  /** Channels of the decoder. */
  hidden: channels.default(256),
  /** How often the decoder doubles the sides of the last map, whose cells are 1/32 of the picture's sides (stem `small`: 1/8). */
  doublings: z.int().min(0).max(3).default(2),
  bnGroups: bnGroups.default(1),
});
type ColorizationOptions = Readonly<z.output<typeof schema>>;

export const colorization = {
  name: 'colorization',
  schema,
  presets: {
    /** The paper trains a VGG-like net: these are the rate, decay and steps of OpenSelfSup's pretexts on ResNet-50. */
    'colorization-r50': {
      method: {},
      recipe: { name: 'colorization' },
      batch: 256,
      lr: 0.1,
      epochs: 70,
      warmupEpochs: 5,
      schedule: { kind: 'step', milestones: [30, 50], factor: 0.1 },
    },
    'tiny-colorization': {
      method: { arch: 'resnet18', width: 16, stem: 'small', hidden: 32, doublings: 1 },
      recipe: { name: 'colorization', globalSize: 32 },
      batch: 32,
      lr: 0.4,
      epochs: 20,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 5,
      decodedCache: '100MB',
    },
  },
  views: () => ({ [VIEW]: 'lab' }),
  check: (options, { batch }) => checkHeadGroups(options, batch),
  checkSides: ({ stem }, sides) => checkCells(VIEW, sides[VIEW] ?? 0, stem),
  excess(options, { bytes }) {
    const parts = Object.values(networkOf(options, colourBins().length));
    return networkExcess(options, [...parts, ...parts], bytes);
  },
  create: (engine: Engine, options: ColorizationOptions, seed: number): Method => new Colorization(engine, options, seed),
} satisfies MethodKind<ColorizationOptions>;

interface Parts {
  readonly net: ResNet;
  readonly decoder: Decoder;
  readonly head: Mlp;
}

function networkOf(options: ColorizationOptions, bins: number): Parts {
  const net = resNet(options);
  const widths = [net.channels[LAST_STAGE], ...Array.from({ length: options.doublings }, () => options.hidden)];
  return { net, decoder: decoder('decoder', widths), head: mlp('head', [widths.at(-1) as number, bins]) };
}

class Colorization extends SingleNetworkMethod<ColorizationOptions> {
  readonly views = [VIEW];
  readonly levels = [VIEW];
  readonly terms = [];
  readonly dimensions: number;
  readonly #bins = colourBins();
  readonly #parts: Parts;

  constructor(engine: Engine, options: ColorizationOptions, seed: number) {
    const parts = networkOf(options, colourBins().length);
    const { net, decoder, head } = parts;
    super(engine, options, { resNet: net, heads: [decoder, head], decay: 'all' }, seed);
    this.#parts = parts;
    this.dimensions = net.channels[LAST_STAGE];
  }

  /** Constants that a recorded step reads. */
  inputs(): NamedTensors {
    return { bins: tf.tensor2d(this.#bins), mean: tf.tensor1d([...IMAGE_MEAN]), std: tf.tensor1d([...IMAGE_STD]) };
  }

  step(views: StepViews, { bins, mean, std }: NamedTensors): StepResult {
    const { ranks } = this.engine;
    const { net, decoder, head } = this.#parts;
    const { doublings, stem } = this.options;
    const levels = viewOf(views, VIEW, this.options, ranks.size);
    checkCells(VIEW, levels.shape[1], stem);
    const [grey, target] = tf.tidy(() => {
      const [lightness, a, b] = tf.split(levels, 3, 3) as [Tensor4D, Tensor4D, Tensor4D];
      const colours: Tensor4D = tf.sub(tf.concat([a, b], 3), GREY);
      return [
        tf.div(tf.sub(tf.div(lightness, 255), mean as Tensor), std as Tensor),
        sharesOf(cellMeans(colours, 2 ** (DOUBLINGS[stem] - doublings)), bins as Tensor2D),
      ];
    }) as [Tensor4D, Tensor2D];
    const result = differentiate(this.network, (layers) => {
      const { features, map } = lastStage(net, layers, grey, (map) => ({
        features: globalAverage(map),
        map: decoder.forward(layers, map),
      }));
      const cells = tf.reshape(map, [-1, map.shape[3]]) as Tensor2D;
      const loss = crossEntropy(head.forward(layers, cells), target);
      return { loss, terms: {}, featureStd: deviation(l2Normalise(features), ranks), features };
    });
    tf.dispose([grey, target]);
    return { ...result, carry: {} };
  }
}

/** The mean colour of each cell of `side` x `side` pixels: [N, H, W, 2] -> [N H/side W/side, 2]. */
function cellMeans(colours: Tensor4D, side: number): Tensor2D {
  const [samples, height, width] = colours.shape;
  const rows = tf.mean(tf.reshape(colours, [samples * (height / side), side, width * 2]), 1);
  return tf.mean(tf.reshape(rows, [(samples * height * width) / side ** 2, side, 2]), 1);
}

/**
 * How the bins share each colour: a Gaussian over the nearest five, summing to 1. Bins as far away as the fifth count too, which makes the
 * shares of a colour half-way between bins the same on every engine.
 *
 * @param colours [M, 2]
 * @param bins [Q, 2]
 * @returns [M, Q]
 */
function sharesOf(colours: Tensor2D, bins: Tensor2D): Tensor2D {
  const [a, b] = tf.split(colours, 2, 1) as [Tensor2D, Tensor2D];
  const [binA, binB] = tf.split(tf.transpose(bins), 2, 0) as [Tensor2D, Tensor2D];
  const distances = tf.add(tf.square(tf.sub(a, binA)), tf.square(tf.sub(b, binB)));
  const { values } = tf.topk(tf.neg(distances), NEIGHBOURS);
  const fifth = tf.neg(tf.slice(values, [0, NEIGHBOURS - 1], [-1, 1]));
  // Less the nearest's, so that a colour far from all bins is shared too.
  const exponents = tf.div(tf.sub(tf.min(distances, 1, true), distances), 2 * SIGMA ** 2);
  const shares = tf.mul(tf.exp(exponents), tf.cast(tf.lessEqual(distances, fifth), 'float32'));
  return tf.div(shares, tf.sum(shares, 1, true));
}

/** Of targets that sum to 1, the mean over rows. */
function crossEntropy(logits: Tensor2D, targets: Tensor2D): Scalar {
  return tf.mean(tf.sub(tf.logSumExp(logits, 1), tf.sum(tf.mul(logits, targets), 1)));
}
