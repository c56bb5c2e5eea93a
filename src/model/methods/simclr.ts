/**
 * SimCLR (Chen et al., ICML 2020, arXiv 2002.05709): the other images of the batch are the negatives.
 *
 *   view1, view2 [N,H,W,3]  ->  one batch of 2N  ->  encoder  ->  z [2N, dim]
 *
 *   l(i, j) = -log( exp(z_i.z_j/tau) / sum over k != i of exp(z_i.z_k/tau) )                  (Eq. 1, NT-Xent)
 *   L = 1/2N sum over the pairs (i, j), (j, i) of two views of an image
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { gatherRanks } from '../../engine/operations/gather-ranks.js';
import type { Method, MethodKind, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { groupsOfRank } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { backboneOptions, bnGroups, channels, checkHeadGroups, networkExcess, temperature } from './options.js';
import { SingleNetworkMethod } from './single-network.js';
import { viewOf } from './views.js';

const VIEWS = ['view1', 'view2'] as const;

const schema = z.strictObject({
  name: z.literal('simclr'),
  ...backboneOptions,
  /** Hidden width of the projection head; by default the channels of the backbone. */
  hidden: channels.optional(),
  /** Dimensions of an embedding. */
  dim: channels.default(128),
  temperature: temperature.default(0.1),
  /** One: the statistics of the whole batch, as the paper's are of all devices (section 2.2, "Global BN"). */
  bnGroups: bnGroups.default(1),
});
type SimClrOptions = Readonly<z.output<typeof schema>>;

export const simclr = {
  name: 'simclr',
  schema,
  presets: {
    /** Section 2.2, with the rate of appendix B.1 for batches that one machine holds; warm-up of ten epochs. */
    'simclr-r50': {
      method: {},
      recipe: { name: 'simclr' },
      batch: 256,
      lr: 1.2,
      lrScaling: 'sqrt',
      epochs: 200,
      warmupEpochs: 10,
      schedule: { kind: 'cosine' },
      optimizer: { name: 'lars', weightDecay: 1e-6 },
    },
    'tiny-simclr': {
      method: { arch: 'resnet18', width: 16, dim: 64, temperature: 0.2 },
      recipe: { name: 'simclr', globalSize: 48 },
      batch: 64,
      lr: 0.4,
      epochs: 40,
      warmupSteps: 20,
      schedule: { kind: 'cosine' },
      evalEvery: 10,
      decodedCache: '100MB',
    },
  },
  views: () => ({ view1: 'image', view2: 'image' }),
  implied: (options) => ({ hidden: resNet(options).channels[LAST_STAGE] }),
  check(options, { batch }) {
    if (batch < 2) throw new RangeError(`batch ${batch}: SimCLR's negatives are the other images of a batch; expected 2 or more`);
    checkHeadGroups(options, batch, VIEWS.length);
  },
  excess(options, { bytes }) {
    const { net, head } = networkOf(options);
    return networkExcess(options, [net, head, net, head], bytes);
  },
  create: (engine: Engine, options: SimClrOptions, seed: number): Method => new SimClr(engine, options, seed),
} satisfies MethodKind<SimClrOptions>;

function networkOf(options: SimClrOptions): { readonly net: ResNet; readonly head: Mlp } {
  const net = resNet(options);
  const inputs = net.channels[LAST_STAGE];
  return { net, head: mlp('head', [inputs, options.hidden ?? inputs, options.dim], { norm: 'all', bias: 'none' }) };
}

class SimClr extends SingleNetworkMethod<SimClrOptions> {
  readonly views = VIEWS;
  readonly terms = [];
  readonly dimensions: number;
  readonly #resNet: ResNet;
  readonly #head: Mlp;

  constructor(engine: Engine, options: SimClrOptions, seed: number) {
    const { net, head } = networkOf(options);
    super(engine, options, { resNet: net, heads: [head], decay: 'weights' }, seed);
    this.dimensions = options.dim;
    this.#resNet = net;
    this.#head = head;
  }

  /** Row numbers, of this rank among those of all, by which the device leaves out what is held against itself. */
  inputs({ batch }: StepAt): NamedTensors {
    const { rank, size } = this.engine.ranks;
    const all = VIEWS.length * batch;
    const numbers = (first: number, length: number): Tensor1D =>
      tf.tensor1d(
        Int32Array.from({ length }, (_, i) => first + i),
        'int32',
      );
    return { rows: numbers((rank * all) / size, all / size), ...(size > 1 && { columns: numbers(0, all) }) };
  }

  step(views: StepViews, { rows, columns = rows }: NamedTensors): StepResult {
    const { size } = this.engine.ranks;
    const groups = groupsOfRank(this.options.bnGroups, size);
    const images = byGroup(
      VIEWS.map((name) => viewOf(views, name, this.options, size)),
      groups,
    );
    const result = differentiate(this.network, (layers) => {
      const features = lastStage(this.#resNet, layers, images, globalAverage);
      const [first] = tf.split(byView(features, groups), VIEWS.length) as [Tensor2D, Tensor2D];
      const embeddings = l2Normalise(byView(this.#head.forward(layers, features), groups));
      const loss = ntXent(this.engine, embeddings, { rows, columns } as Numbers, this.options.temperature);
      return { loss, terms: {}, featureStd: deviation(embeddings, this.engine.ranks), features: first };
    });
    return { ...result, carry: {} };
  }
}

/** Both views of an image are in one batch norm group, as on a GPU of its own: of each group the first views, then the second. */
function byGroup(views: readonly Tensor4D[], groups: number): Tensor4D {
  if (groups === 1) return tf.concat([...views]);
  const parts = views.map((view) => tf.split(view, groups));
  return tf.concat(Array.from({ length: groups }, (_, group) => parts.map((part) => part[group] as Tensor4D)).flat());
}

/** Rows that came by group: the first views of all, then the second. */
function byView(rows: Tensor2D, groups: number): Tensor2D {
  if (groups === 1) return rows;
  const parts = tf.split(rows, VIEWS.length * groups) as Tensor2D[];
  return tf.concat(VIEWS.flatMap((_, view) => parts.filter((_part, i) => i % VIEWS.length === view)));
}

/** Far below any cosine over temperature: exp gives 0. */
const NEVER = -1e9;

/** Of embeddings, int32: of this rank's, [2n], and of those of all ranks, [2N]. */
type Numbers = Readonly<Record<'rows' | 'columns', Tensor1D>>;

/**
 * The mean of Eq. 1 over both directions of all pairs of this rank.
 *
 * @param embeddings [2n, dim], unit norm: the first views, then the second ones in the same order
 */
export function ntXent(engine: Engine, embeddings: Tensor2D, { rows, columns }: Numbers, temperature: number): Scalar {
  const [count] = embeddings.shape;
  const similarities = tf.div(engine.similarities(embeddings, gatherRanks(engine.ranks, embeddings)), temperature); // [2n, 2N]
  const itself = tf.cast(tf.equal(tf.expandDims(rows, 1), tf.expandDims(columns, 0)), 'float32');
  const [first, second] = tf.split(embeddings, 2) as [Tensor2D, Tensor2D];
  const positive = tf.div(tf.sum(tf.mul(first, second), 1), temperature); // [n]
  const denominators = tf.logSumExp(tf.add(similarities, tf.mul(itself, NEVER)), 1); // [2n]
  return tf.div(tf.sub(tf.sum(denominators), tf.mul(2, tf.sum(positive))), count);
}
