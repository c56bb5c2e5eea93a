/**
 * DenseCL (Wang et al., CVPR 2021, arXiv 2011.09157): MoCo v2, and the same for the cells of the backbone's last map.
 *
 *   globalQ -> query backbone -> map F_q [N,S,S,C] -> average, MLP -> q [N,dim]         cells, MLP -> r [N,S^2,dim]
 *   globalK -> key backbone   -> map F_k           -> average, MLP -> k -> queue global  cells, MLP -> t [N,S^2,dim]
 *                                                                  average of t, unit norm -> queue dense
 *
 *   positive of a query cell s: the key cell c_s = arg max over j of cos(F_q[s], F_k[j])      (Eq. 4)
 *   L = (1 - w) L_q + w L_r, w = `lossWeight`                                                 (Eq. 3)
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { Method, MethodKind, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { constantOf, differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import type { Layers } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { globalAverage, lastStage } from '../network/resnet.js';
import { backboneOptions, channels, checkQueue, fitBnGroups, networkExcess, queueConcern, queueExcess, queueOptions } from './options.js';
import { QueueMethod } from './queue-method.js';

const VIEWS = { globalQ: 'image', globalK: 'image' } as const;
const TERMS = ['global', 'dense'] as const;

const schema = z.strictObject({
  name: z.literal('densecl'),
  ...backboneOptions,
  /** Hidden width of both heads; by default the channels of the backbone. */
  hidden: channels.optional(),
  /** Share of the dense loss. */
  lossWeight: z.number().min(0).max(1).default(0.5),
  ...queueOptions,
});
type DenseClOptions = Readonly<z.output<typeof schema>>;

export const densecl = {
  name: 'densecl',
  schema,
  presets: {
    'densecl-r50': { method: {}, recipe: { name: 'mocoV2' }, batch: 256, lr: 0.03, epochs: 200, schedule: { kind: 'cosine' } },
    'tiny-densecl': {
      method: { arch: 'resnet18', width: 16, stem: 'small', dim: 64, queueSize: 256, temperature: 0.1, keyMomentum: 0.99, bnGroups: 2 },
      recipe: { name: 'mocoV2', globalSize: 32 },
      batch: 32,
      lr: 0.12,
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
  check: (options, run) => checkQueue(options, run),
  excess(options, run) {
    const { net, global, dense } = networkOf(options);
    const network = [net, global, dense];
    return queueExcess(options, TERMS.length, run) ?? networkExcess(options, [...network, ...network, ...network], run.bytes);
  },
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: DenseClOptions, seed: number): Method => new DenseCl(engine, options, seed),
} satisfies MethodKind<DenseClOptions>;

function networkOf(options: DenseClOptions): { readonly net: ResNet; readonly global: Mlp; readonly dense: Mlp } {
  const net = resNet(options);
  const inputs = net.channels[LAST_STAGE];
  const widths = [inputs, options.hidden ?? inputs, options.dim];
  return { net, global: mlp('head.global', widths), dense: mlp('head.dense', widths) };
}

/** What both losses read of one view. */
type Embedded = Readonly<{
  /** Of the backbone, [N, C]. */
  features: Tensor2D;
  /** [N, dim], unit norm. */
  global: Tensor2D;
  /** [N, S^2, dim], unit norm. */
  cells: Tensor3D;
  /** Their mean before they have unit norm, then that: [N, dim]. The paper leaves the order open; its authors' code has this one. */
  pooled: Tensor2D;
  /** Of the backbone, [N, S^2, C]. */
  map: Tensor3D;
}>;

class DenseCl extends QueueMethod<DenseClOptions> {
  readonly views = Object.keys(VIEWS);
  readonly terms = TERMS;
  readonly #resNet: ResNet;
  readonly #globalHead: Mlp;
  readonly #denseHead: Mlp;

  constructor(engine: Engine, options: DenseClOptions, seed: number) {
    const { net, global, dense } = networkOf(options);
    super(engine, options, { resNet: net, heads: [global, dense], queues: TERMS, keyViews: { global: 'globalK' } }, seed);
    this.#resNet = net;
    this.#globalHead = global;
    this.#denseHead = dense;
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const { dim, temperature, lossWeight } = this.options;
    this.follow();
    const encoded = this.keys(this.view(views, 'globalK'), inputs, 'global', (layers, images) => {
      const { features: _, ...keys } = this.#embed(layers, images);
      return keys;
    });
    const { own: keys } = encoded;
    const images = this.view(views, 'globalQ');
    const result = differentiate(this.query, (layers) => {
      const query = this.#embed(layers, images);
      const rows = (cells: Tensor3D): Tensor2D => tf.reshape(cells, [-1, dim]);
      const positives = rows(matched(this.engine, query.map, keys));
      const global = this.engine.infoNce(query.global, keys.global, this.queue('global'), temperature);
      const dense = this.engine.infoNce(rows(query.cells), positives, this.queue('dense'), temperature);
      const loss: Scalar = tf.add(tf.mul(global, 1 - lossWeight), tf.mul(dense, lossWeight));
      return { loss, terms: { global, dense }, featureStd: deviation(query.global, this.engine.ranks), features: query.features };
    });
    const { global, pooled: dense, ...others } = this.kept(encoded);
    tf.dispose(others);
    return { ...result, carry: { global, dense } };
  }

  #embed(layers: Layers, images: Tensor4D): Embedded {
    const { features, map } = lastStage(this.#resNet, layers, images, (last) => ({ features: globalAverage(last), map: cellsOf(last) }));
    const [count, places, width] = map.shape;
    const dense = this.#denseHead.forward(layers, tf.reshape(map, [count * places, width]));
    const shape: [number, number, number] = [count, places, this.options.dim];
    return {
      features,
      global: l2Normalise(this.#globalHead.forward(layers, features)),
      cells: tf.reshape(l2Normalise(dense), shape),
      pooled: l2Normalise(tf.mean(tf.reshape(dense, shape), 1)),
      map,
    };
  }
}

/** [N, S, S, C] -> [N, S^2, C] */
function cellsOf(map: Tensor4D): Tensor3D {
  const [count, height, width, channelCount] = map.shape;
  return tf.reshape(map, [count, height * width, channelCount]);
}

/** Each cell of [N, S^2, C] divided by its norm. */
function unitCells(cells: Tensor3D): Tensor3D {
  return tf.reshape(l2Normalise(tf.reshape(cells, [-1, cells.shape[2]])), cells.shape);
}

/** The key's cell that each of the query's is held against: [N, S^2, dim]. */
function matched(engine: Engine, map: Tensor3D, keys: Pick<Embedded, 'cells' | 'map'>): Tensor3D {
  return constantOf(map, (cells) =>
    tf.tidy(() => {
      const cosines = engine.similarities(unitCells(cells as Tensor3D), unitCells(keys.map)); // [N, S^2 of the query, S^2 of the key]
      return tf.gather(keys.cells, tf.argMax(cosines, 2) as Tensor2D, 1, 1) as Tensor3D;
    }),
  );
}
