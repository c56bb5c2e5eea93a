/**
 * DetCo (Xie et al., ICCV 2021, arXiv 2102.04803), and MoCo v1 and v2 as its subsets.
 *
 *   L = sum over levels i of w_i (L_gg + L_ll + L_gl)                                         (Eq. 1)
 *
 *   views of an image          query encoder        key encoder (momentum, no gradient)
 *   globalQ [N,H,W,3]   ->     q^g  a level
 *   globalK                                         k^g  a level   -> queue global.level
 *   patchesQ [N,9,h,w,3] ->    q^l  a level
 *   patchesK                                        k^l  a level   -> queue local.level
 *
 * A step: `key <- m key + (1 - m) query`, encode the keys, encode the queries and differentiate; the optimiser and
 * then `enqueue` follow. All of these are device work alone, so that an engine can replay them; the one piece of host
 * state is `queuePointer`, which `advance` moves after the step.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import { Encoder } from './encoder.js';
import type { Statistics } from './encoder.js';
import type { Kind } from './heads.js';
import { levelsOf } from './options.js';
import type { MethodOptions } from './options.js';
import { startingValues } from './parameters.js';
import { KeyQueues } from './queue.js';
import type { Stage } from './resnet.js';
import { kindsOf, queueNames, TERMS, termNames, trains } from './terms.js';
import { asImages, permutationOf, viewOf } from './views.js';
import type { KeyPermutations, StepViews } from './views.js';

/** Embeddings of the key views, [N, dim], in image order, by queue: `global.res5`. */
export type Keys = Record<string, Tensor2D>;

/** The tensors are the caller's: `tf.dispose(result)` frees them all. */
export type QueryResult = {
  readonly loss: Scalar;
  /** Unweighted, by `gg.res2`. */
  readonly terms: Record<string, Scalar>;
  /** Of the loss, aligned with `parameters`. */
  readonly gradients: Tensor[];
  /**
   * Mean over dimensions of the standard deviation over the batch, of the deepest level's query embedding: about
   * 1/sqrt(dim) for a healthy one, 0 when it collapses.
   */
  readonly featureStd: Scalar;
};

export type StepResult = QueryResult & { readonly keys: Keys };

export class ContrastiveMethod {
  readonly options: MethodOptions;
  /** What the optimiser moves: the query encoder up to its deepest level, and the heads that the terms train. */
  readonly parameters: ReadonlyMap<string, Variable>;
  /** What `terms` of a step are called, in their order: `gg.res2`. */
  readonly termNames: readonly string[];
  readonly #engine: Engine;
  readonly #query: Encoder;
  readonly #key: Encoder;
  readonly #queues: KeyQueues;

  /** A method that starts at random; the same seed and options give the same numbers on every engine. */
  static create(engine: Engine, options: MethodOptions, seed: number): ContrastiveMethod {
    return new ContrastiveMethod(engine, options, seed);
  }

  private constructor(engine: Engine, options: MethodOptions, seed: number) {
    this.#engine = engine;
    this.options = options;
    this.termNames = termNames(options);
    const heads = kindsOf(options, ['query', 'key']);
    this.#query = new Encoder(engine, options, heads, true, (spec) => startingValues(spec, seed));
    this.#key = new Encoder(engine, options, heads, false, ({ name }) => this.#query.tensor(name).dataSync<'float32'>());
    this.#queues = new KeyQueues(engine, queueNames(options), options.queueSize, options.dim, seed);
    const trained = [...this.#query.parameters].filter(([name]) => this.#kinds('query').some((kind) => trains(options, kind, name)));
    this.parameters = new Map(trained);
  }

  /**
   * One step up to the gradients: momentum update, both encoders, losses, backward. The queues are those of before the step.
   * @throws RangeError when the batch does not divide into `bnGroups`, or views that the terms need are missing
   */
  step(views: StepViews, permutations: KeyPermutations): StepResult {
    this.updateKeyEncoder();
    const keys = this.encodeKeys(views, permutations);
    return { ...this.learn(views, keys), keys };
  }

  /** key <- m key + (1 - m) query, over parameters and not over batch norm buffers (MoCo, Eq. 2). */
  updateKeyEncoder(): void {
    const keys = [...this.parameters.keys()].map((name) => this.#key.weight(name));
    this.#engine.lerp(keys, [...this.parameters.values()], 1 - this.options.keyMomentum);
  }

  /** k^g and k^l of every level, without gradient; each kind permuted by image before the encoder and un-permuted after. */
  encodeKeys(views: StepViews, permutations: KeyPermutations): Keys {
    const keys: Keys = {};
    for (const kind of this.#kinds('key')) {
      const images = viewOf(views, kind, 'K', this.options);
      const { order, inverse } = permutationOf(permutations, kind, images);
      const statistics: Statistics = [];
      const embeddings = tf.tidy(() => {
        const shuffled = this.#key.embed(kind, asImages(tf.gather(images, order)), statistics);
        return Object.fromEntries(Object.entries(shuffled).map(([level, k]) => [`${kind}.${level}`, tf.gather(k, inverse)]));
      });
      this.#key.commit(statistics);
      Object.assign(keys, embeddings);
    }
    return keys;
  }

  /**
   * Losses of the queries against `keys` and the queues, and the gradients of Eq. 1. Global and patch forwards share
   * nothing but parameters, so each is differentiated on its own, global first: the tape holds one of them at a time.
   */
  learn(views: StepViews, keys: Keys): QueryResult {
    const branches = this.#kinds('query').map((kind) => this.#differentiate(kind, views, keys));
    const [featureStd, ...others] = branches.map((branch) => branch.featureStd) as [Scalar, ...Scalar[]];
    tf.dispose(others);
    return {
      loss: total(branches.map(({ loss }) => loss)),
      terms: Object.assign({}, ...branches.map(({ terms }) => terms)) as Record<string, Scalar>,
      gradients: [...this.parameters.keys()].map((name) => total(branches.flatMap(({ gradients }) => gradients.get(name) ?? []))),
      featureStd,
    };
  }

  /**
   * Puts the step's keys (of all ranks, in rank order) in the queues, after the losses used them; keys are not disposed.
   *
   * @param pointer `queuePointer` as a tensor, int32
   * @throws RangeError when the keys do not divide the queues
   */
  enqueue(keys: Keys, pointer: Scalar): void {
    this.#queues.enqueue(keys, pointer);
  }

  /** Moves `queuePointer` past the keys of a step, `rows` in each queue. */
  advance(rows: number): void {
    this.#queues.advance(rows);
  }

  /** The row of every queue that the next key goes to. */
  get queuePointer(): number {
    return this.#queues.pointer;
  }

  set queuePointer(row: number) {
    this.#queues.pointer = row;
  }

  /** The query backbone in eval mode: normalised images [N, H, W, 3] to the pooled features [N, C] of each stage. */
  features(images: Tensor4D): Record<Stage, Tensor2D> {
    return this.#query.features(images);
  }

  /** All that a checkpoint must hold besides `queuePointer`: `query.*`, `key.*` (parameters and buffers), `queue.*`. */
  tensors(): Map<string, Variable> {
    const named = (prefix: string, tensors: ReadonlyMap<string, Variable>): [string, Variable][] =>
      [...tensors].map(([name, variable]) => [`${prefix}.${name}`, variable]);
    return new Map([
      ...named('query', this.#query.parameters),
      ...named('query', this.#query.buffers),
      ...named('key', this.#key.parameters),
      ...named('key', this.#key.buffers),
      ...named('queue', this.#queues.tensors as ReadonlyMap<string, Variable>),
    ]);
  }

  dispose(): void {
    this.#query.dispose();
    this.#key.dispose();
    this.#queues.dispose();
  }

  /** The terms whose query is of this kind: gg for global, ll and gl for local. */
  #differentiate(kind: Kind, views: StepViews, keys: Keys): Branch {
    const images = viewOf(views, kind, 'Q', this.options);
    const terms = this.options.terms.filter((term) => TERMS[term].query === kind);
    const names = [...this.parameters.keys()].filter((name) => trains(this.options, kind, name));
    const variables = names.map((name) => this.#query.weight(name));
    const statistics: Statistics = [];
    const monitored: Record<string, Scalar> = {};
    const { value: loss, grads } = tf.variableGrads(() => {
      const q = this.#query.embed(kind, asImages(images), statistics);
      monitored['featureStd'] = tf.keep(deviation(Object.values(q).at(-1) as Tensor2D));
      let sum: Scalar = tf.scalar(0);
      for (const level of levelsOf(this.options)) {
        for (const term of terms) {
          const bank = `${TERMS[term].key}.${level}`;
          const nce = this.#engine.infoNce(q[level] as Tensor2D, keys[bank] as Tensor2D, this.#queues.get(bank), this.options.temperature);
          monitored[`${term}.${level}`] = tf.keep(nce);
          sum = tf.add(sum, tf.mul(nce, this.options.levels[level] as number));
        }
      }
      return sum;
    }, variables);
    this.#query.commit(statistics);
    const { featureStd, ...losses } = Object.fromEntries(Object.entries(monitored).map(([name, kept]) => [name, released(kept)]));
    return {
      loss,
      terms: losses,
      featureStd: featureStd as Scalar,
      gradients: new Map(names.map((name, i) => [name, grads[variables[i]?.name ?? ''] as Tensor])),
    };
  }

  /** The kinds of view that the options' terms query, or hold queries against. */
  #kinds(side: 'query' | 'key'): Kind[] {
    return kindsOf(this.options, [side]);
  }
}

interface Branch {
  readonly loss: Scalar;
  readonly terms: Record<string, Scalar>;
  readonly featureStd: Scalar;
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** Mean over dimensions of the standard deviation over rows, [N, D] -> scalar. */
function deviation(rows: Tensor2D): Scalar {
  return tf.tidy(() => {
    const centred = tf.sub(rows, tf.mean(rows, 0, true));
    return tf.mean(tf.sqrt(tf.mean(tf.mul(centred, centred), 0)));
  });
}

/** A kept tensor handed back to the scope of the caller. */
function released<T extends Tensor>(kept: T): T {
  const tensor = tf.clone(kept);
  kept.dispose();
  return tensor;
}

/** The sum of one or two tensors, which are freed. */
function total<T extends Tensor>(parts: readonly T[]): T {
  const [first, second] = parts as readonly [T, T?];
  if (!second) return first;
  const sum = tf.add<T>(first, second);
  tf.dispose([first, second]);
  return sum;
}
