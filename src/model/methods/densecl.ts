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
import type { Scalar, Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { HostState, Method, MethodKind, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, resNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { constantOf, differentiate } from '../network/differentiate.js';
import { mlp, type Mlp } from '../network/heads.js';
import { MomentumPair } from '../network/momentum.js';
import type { Network, Statistics } from '../network/network.js';
import { deviation, l2Normalise } from '../network/normalise.js';
import { parameterGroups } from '../network/parameter-groups.js';
import { globalAverage, stages } from '../network/resnet.js';
import { backboneOptions, channels, checkBnGroups, checkQueue, fitBnGroups, queueConcern, queueExcess, queueOptions } from './options.js';
import { viewOf } from './views.js';

const VIEWS = ['globalQ', 'globalK'];
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
  fit: fitBnGroups,
  check(options, { batch }) {
    checkQueue(options, batch);
    checkBnGroups(options, batch);
  },
  excess: (options, run) => queueExcess(options, TERMS.length, run),
  concern: (options, data) => queueConcern(options, data),
  create: (engine: Engine, options: DenseClOptions, seed: number): Method => new DenseCl(engine, options, seed),
} satisfies MethodKind<DenseClOptions>;

/** What both losses read of one view. */
interface Embedded {
  /** [N, dim], unit norm. */
  readonly global: Tensor2D;
  /** [N, S^2, dim], unit norm. */
  readonly cells: Tensor3D;
  /** Their mean before they have unit norm, then that: [N, dim]. The paper leaves the order open; its authors' code has this one. */
  readonly pooled: Tensor2D;
  /** Of the backbone, [N, S^2, C]. */
  readonly map: Tensor3D;
}

class DenseCl implements Method {
  readonly parameters: readonly ParameterGroup[];
  readonly views = VIEWS;
  readonly terms = TERMS;
  readonly dimensions: number;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly #engine: Engine;
  readonly #options: DenseClOptions;
  readonly #resNet: ResNet;
  readonly #globalHead: Mlp;
  readonly #denseHead: Mlp;
  readonly #pair: MomentumPair;

  constructor(engine: Engine, options: DenseClOptions, seed: number) {
    this.#engine = engine;
    this.#options = options;
    this.dimensions = options.dim;
    this.#resNet = resNet(options);
    const inputs = this.#resNet.channels[LAST_STAGE];
    const widths = [inputs, options.hidden ?? inputs, options.dim];
    this.#globalHead = mlp('head.global', widths);
    this.#denseHead = mlp('head.dense', widths);
    const specs = [this.#resNet, this.#globalHead, this.#denseHead];
    this.#pair = new MomentumPair(engine, specs, options, { queues: TERMS, views: ['global'] }, seed);
    this.parameters = parameterGroups(this.#pair.query.parameters, 'all');
    this.backbone = new Backbone(this.#pair.query, this.#resNet);
    this.sections = this.#pair.sections;
  }

  inputs(at: StepAt): NamedTensors {
    return this.#pair.inputs(at);
  }

  step(views: StepViews, inputs: NamedTensors): StepResult {
    const { temperature, lossWeight } = this.#options;
    this.#pair.follow(this.#pair.query.parameters);
    const embed = (network: Network, shuffled: Tensor, statistics: Statistics) => ({ ...this.#embed(network, shuffled, statistics) });
    const keys = this.#pair.keys(viewOf(views, 'globalK', this.#options), inputs, 'global', embed) as unknown as Embedded;
    const images = viewOf(views, 'globalQ', this.#options);
    const { loss, watched, gradients } = differentiate(this.#pair.query, this.#pair.query.parameters, (watch, statistics) => {
      const query = this.#embed(this.#pair.query, images, statistics);
      watch('featureStd', deviation(query.global));
      const global = this.#engine.infoNce(query.global, keys.global, this.#pair.queue('global'), temperature);
      const rows = (cells: Tensor3D) => tf.reshape(cells, [-1, this.#options.dim] as [number, number]) as Tensor2D;
      const positives = rows(matched(query.map, keys));
      const dense = this.#engine.infoNce(rows(query.cells), positives, this.#pair.queue('dense'), temperature);
      watch('global', global);
      watch('dense', dense);
      return tf.add(tf.mul(global, 1 - lossWeight), tf.mul(dense, lossWeight));
    });
    tf.dispose([keys.cells, keys.map]);
    const { featureStd, ...terms } = watched;
    return { loss, terms, gradients, featureStd: featureStd as Scalar, carry: { global: keys.global, dense: keys.pooled } };
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

  #embed(network: Network, images: Tensor, statistics: Statistics): Embedded {
    const layers = network.train(statistics);
    const read = (map: Tensor4D) => ({ pooled: globalAverage(map), cells: cellsOf(map) });
    const { pooled, cells } = stages(this.#resNet, layers, images as Tensor4D, (map, stage) =>
      stage === LAST_STAGE ? read(map) : undefined,
    )[LAST_STAGE] as ReturnType<typeof read>;
    const [count, places, width] = cells.shape;
    const flat = tf.reshape(cells, [count * places, width]) as Tensor2D;
    const dense = this.#denseHead.forward(layers, flat);
    const shape: [number, number, number] = [count, places, this.#options.dim];
    return {
      global: l2Normalise(this.#globalHead.forward(layers, pooled)),
      cells: tf.reshape(l2Normalise(dense), shape),
      pooled: l2Normalise(tf.mean(tf.reshape(dense, shape), 1)),
      map: cells,
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
function matched(map: Tensor3D, keys: Embedded): Tensor3D {
  return constantOf(map, (cells) =>
    tf.tidy(() => {
      const cosines = tf.matMul(unitCells(cells as Tensor3D), unitCells(keys.map), false, true); // [N, S^2 of the query, S^2 of the key]
      return tf.gather(keys.cells, tf.argMax(cosines, 2) as Tensor2D, 1, 1) as Tensor3D;
    }),
  );
}
