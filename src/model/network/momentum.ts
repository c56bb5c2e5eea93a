/**
 * A query network, the key network that slowly follows it, and the queues of keys that queries are held against (MoCo section 3.2).
 *
 *   before a step   key <- m key + (1 - m) query
 *   a step          keys of the views, without gradient, in shuffled order
 *   after it        the keys take the place of the oldest in the queues
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import type { HostState, Method, StepAt } from '../method.js';
import { Network, type NetworkSpecs, type Statistics } from './network.js';
import { startingValues } from './parameters.js';
import { KeyQueues } from './queue.js';
import { encodeShuffled, stepPermutation } from './shuffle-bn.js';

export interface MomentumOptions {
  readonly bnGroups: number;
  /** m */
  readonly keyMomentum: number;
  /** Keys in each queue. */
  readonly queueSize: number;
  /** Dimensions of a key. */
  readonly dim: number;
}

export interface MomentumNames {
  readonly queues: readonly string[];
  /** Kinds of key views, each of which has a permutation of its own. */
  readonly views: readonly string[];
}

export class MomentumPair {
  readonly query: Network;
  readonly sections: Method['sections'];
  readonly #key: Network;
  readonly #queues: KeyQueues;
  readonly #options: MomentumOptions;
  readonly #views: readonly string[];
  readonly #seed: number;

  /** The key network starts as a copy. */
  constructor(engine: Engine, specs: readonly NetworkSpecs[], options: MomentumOptions, names: MomentumNames, seed: number) {
    const { bnGroups, queueSize, dim } = options;
    this.query = new Network(engine, specs, { bnGroups, trainable: true, values: (spec) => startingValues(spec, seed) });
    this.#key = new Network(engine, specs, { bnGroups, trainable: false, values: ({ name }) => this.query.values(name) });
    this.#queues = new KeyQueues(engine, names.queues, queueSize, dim, seed);
    this.sections = { query: this.query.tensors, key: this.#key.tensors, queues: this.#queues.tensors };
    this.#options = options;
    this.#views = names.views;
    this.#seed = seed;
  }

  /** The inputs of a step: ShuffleBN's permutations, and the queues' pointer. */
  inputs({ step, batch }: StepAt): NamedTensors {
    const permutations = this.#views.map((name) => stepPermutation(this.#seed, name, step, batch));
    return { ...(Object.assign({}, ...permutations) as NamedTensors), pointer: this.#queues.pointerTensor() };
  }

  /** Moves the key network after the query network, over the parameters that are trained. */
  follow(trained: ReadonlyMap<string, Variable>): void {
    this.#key.follow(this.query, [...trained.keys()], 1 - this.#options.keyMomentum);
  }

  /**
   * Keys of images [N, ...], without gradient.
   *
   * @param view kind of the images: the permutation that they are encoded in
   * @param embed the train-mode forward of a network, to tensors [N, ...]
   */
  keys<Name extends string>(
    images: Tensor,
    inputs: NamedTensors,
    view: string,
    embed: (network: Network, images: Tensor, statistics: Statistics) => Readonly<Record<Name, Tensor>>,
  ): Record<Name, Tensor> {
    const statistics: Statistics = [];
    const keys = tf.tidy(() => encodeShuffled(images, inputs, view, (shuffled) => embed(this.#key, shuffled, statistics)));
    this.#key.commit(statistics);
    return keys;
  }

  queue(name: string): Variable<Rank.R2> {
    return this.#queues.get(name);
  }

  /** Puts the keys of a step, [N, dim] a queue, in the place of the oldest. */
  enqueue(keys: NamedTensors, { pointer }: NamedTensors): void {
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
}
