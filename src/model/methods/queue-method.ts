/**
 * What methods with a momentum encoder share (MoCo section 3.2): a query network, the key network that slowly follows it, and the queues of
 * keys that queries are held against.
 *
 *   before a step   key <- m key + (1 - m) query
 *   a step          keys of the views, without gradient, in shuffled order
 *   after it        the keys take the place of the oldest in the queues
 */
import { dispose, type Rank, type Scalar, type Tensor, type Tensor4D, type Variable } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { HostState, Method, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet, type Stage } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { encode } from '../network/differentiate.js';
import { type Layers, Network } from '../network/network.js';
import { parameterGroups } from '../network/parameter-groups.js';
import type { NetworkSpecs } from '../network/parameters.js';
import { KeyQueues } from '../network/queue.js';
import { type Encoded, encodeShuffled, stepPermutation } from '../network/shuffle-bn.js';
import type { QueueOptions } from './options.js';
import { viewOf } from './views.js';

export interface QueueMethodParts {
  readonly resNet: ResNet;
  readonly heads: readonly NetworkSpecs[];
  /** Names of the queues. */
  readonly queues: readonly string[];
  /** Kinds of key views, each of which has a permutation of its own, and the names of those views. */
  readonly keyViews: Readonly<Record<string, string>>;
  /** Further views that ranks exchange. */
  readonly exchanged?: readonly string[];
  /** Whether the loss reaches a parameter; by default it reaches all. */
  readonly trains?: (name: string) => boolean;
}

export abstract class QueueMethod<Options extends QueueOptions> implements Method {
  abstract readonly views: readonly string[];
  readonly exchanged: readonly string[];
  abstract readonly terms: readonly string[];
  readonly parameters: readonly ParameterGroup[];
  readonly dimensions: number;
  readonly featureStage: Stage = LAST_STAGE;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly encoders = { query: 'query', key: 'key' };
  protected readonly engine: Engine;
  protected readonly options: Options;
  protected readonly query: Network;
  /** What the loss reaches, and the key network follows. */
  protected readonly trained: ReadonlyMap<string, Variable>;
  readonly #key: Network;
  readonly #queues: KeyQueues;
  readonly #keyViews: readonly string[];
  readonly #seed: number;

  /** The key network starts as a copy. */
  constructor(
    engine: Engine,
    options: Options,
    { resNet, heads, queues, keyViews, exchanged = [], trains = () => true }: QueueMethodParts,
    seed: number,
  ) {
    const { bnGroups, queueSize, dim } = options;
    this.engine = engine;
    this.options = options;
    this.dimensions = dim;
    this.query = new Network(engine, [resNet, ...heads], { bnGroups, seed });
    this.#key = new Network(engine, [resNet, ...heads], { bnGroups, copyOf: this.query });
    this.#queues = new KeyQueues(engine, queues, queueSize, dim, seed);
    this.trained = new Map([...this.query.parameters].filter(([name]) => trains(name)));
    this.parameters = parameterGroups(this.trained, 'all');
    this.backbone = new Backbone(this.query, resNet);
    this.sections = { query: this.query.tensors, key: this.#key.tensors, queues: this.#queues.tensors };
    this.exchanged = [...Object.values(keyViews), ...exchanged];
    this.#keyViews = Object.keys(keyViews);
    this.#seed = seed;
  }

  abstract step(views: StepViews, inputs: NamedTensors): StepResult;

  /** ShuffleBN's permutations, and the queues' pointer. */
  inputs(at: StepAt): NamedTensors {
    const permutations = this.#keyViews.map((name) => stepPermutation(this.#seed, name, at, this.engine.ranks));
    return { ...(Object.assign({}, ...permutations) as NamedTensors), pointer: this.#queues.pointerTensor() };
  }

  /** Puts the keys of a step, of all ranks, [N, dim] a queue, in the place of the oldest. */
  settle(keys: NamedTensors, { pointer }: NamedTensors): void {
    this.#queues.enqueue(keys, pointer as Scalar);
  }

  advance(images: number): void {
    this.#queues.advance(images);
  }

  get host(): HostState {
    return { pointer: this.#queues.pointer };
  }

  set host({ pointer = Number.NaN }: HostState) {
    this.#queues.pointer = pointer;
  }

  dispose(): void {
    for (const part of [this.query, this.#key, this.#queues]) part.dispose();
  }

  /** Moves the key network after the query network. */
  protected follow(): void {
    this.#key.follow(this.query, [...this.trained.keys()], 1 - this.options.keyMomentum);
  }

  /**
   * Keys of images [n, ...], without gradient: of these, and of those of all ranks.
   *
   * @param view kind of the images: the permutation that they are encoded in
   * @param embed the forward pass, to tensors [n, ...]
   */
  protected keys<Images extends Tensor, Keys extends Readonly<Record<string, Tensor>>>(
    images: Images,
    inputs: NamedTensors,
    view: string,
    embed: (layers: Layers, images: Images) => Keys,
  ): Encoded<Keys> {
    return encode(this.#key, (layers) => encodeShuffled(images, inputs, view, this.engine.ranks, (shuffled) => embed(layers, shuffled)));
  }

  /** Of keys, those of all ranks; the others are disposed of. */
  protected kept<Keys extends Readonly<Record<string, Tensor>>>({ own, all }: Encoded<Keys>): Keys {
    if (own !== all) dispose(own);
    return all;
  }

  /** A view of this rank's images, checked. */
  protected view<View extends Tensor = Tensor4D>(views: StepViews, name: string): View {
    return viewOf<View>(views, name, this.options, this.engine.ranks.size);
  }

  protected queue(name: string): Variable<Rank.R2> {
    return this.#queues.get(name);
  }
}
