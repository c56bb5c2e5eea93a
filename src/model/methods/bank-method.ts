/**
 * What methods with a memory bank share: one network that learns, the bank of what it made of each image, and negatives that are drawn for a
 * step. A method says what its views are, and what it holds against the bank.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { Random, streamId } from '../../common/random.js';
import type { Method, ParameterGroup, StepAt, StepResult, StepViews } from '../method.js';
import { LAST_STAGE, type ResNet } from '../network/architecture.js';
import { Backbone } from '../network/backbone.js';
import { BankLoss, type BankRows } from '../network/bank-loss.js';
import { MemoryBank } from '../network/memory-bank.js';
import { Network } from '../network/network.js';
import { parameterGroups } from '../network/parameter-groups.js';
import type { NetworkSpecs } from '../network/parameters.js';
import { type BankOptions, imagesOf } from './bank-options.js';
import { viewOf } from './views.js';

export interface BankMethodParts {
  readonly resNet: ResNet;
  readonly heads: readonly NetworkSpecs[];
  /** What is held against the bank, by name: each has a Z of its own. */
  readonly held: readonly string[];
  readonly decay: 'all' | 'weights';
}

/** What is carried besides embeddings: the Z of each. */
const LOG_Z = 'logZ.';
/** The embeddings that the bank takes. */
const ENTRIES = 'entries';

export abstract class BankMethod<Options extends BankOptions> implements Method {
  abstract readonly views: readonly string[];
  abstract readonly terms: readonly string[];
  readonly exchanged = [];
  readonly parameters: readonly ParameterGroup[];
  readonly dimensions: number;
  readonly featureStage = LAST_STAGE;
  readonly backbone: Backbone;
  readonly sections: Method['sections'];
  readonly encoders = { query: 'online' };
  readonly host = {};
  protected readonly engine: Engine;
  protected readonly options: Options;
  protected readonly network: Network;
  readonly #images: number;
  readonly #bank: MemoryBank;
  readonly #losses: ReadonlyMap<string, BankLoss>;
  readonly #seed: number;

  constructor(engine: Engine, options: Options, { resNet, heads, held, decay }: BankMethodParts, seed: number) {
    const { bnGroups, bankMomentum: momentum, dim, loss, temperature } = options;
    this.engine = engine;
    this.options = options;
    this.dimensions = dim;
    this.#seed = seed;
    this.#images = imagesOf(options);
    this.network = new Network(engine, [resNet, ...heads], { bnGroups, seed });
    this.#bank = new MemoryBank(engine, { images: this.#images, dim, momentum }, seed);
    this.#losses = new Map(held.map((name) => [name, new BankLoss(engine, { loss, temperature, images: this.#images })]));
    this.parameters = parameterGroups(this.network.parameters, decay);
    this.backbone = new Backbone(this.network, resNet);
    const normalisers = [...this.#losses].flatMap(([name, { logZ }]) => (logZ ? [[`${LOG_Z}${name}`, logZ] as const] : []));
    this.sections = { online: this.network.tensors, bank: new Map<string, Variable>([[ENTRIES, this.#bank.entries], ...normalisers]) };
  }

  abstract step(views: StepViews, inputs: NamedTensors): StepResult;

  /**
   * The numbers of this rank's images, those of the images that are negatives for all ranks, the places in the batch of all ranks, and whether the
   * step is the first of the run.
   *
   * @throws RangeError for a number that the bank has no entry for, or none
   */
  inputs({ step, batch, samples }: StepAt): NamedTensors {
    const { ordinals } = samples ?? {};
    if (!ordinals) throw new RangeError('The images have no ordinals, by which a bank knows them: give the pipeline option ordinals');
    const beyond = ordinals.find((ordinal) => ordinal >= this.#images);
    if (beyond !== undefined)
      throw new RangeError(
        `Image ${beyond}, counted from 0, has no entry in a bank of ${this.#images}: expected the data that it was made for`,
      );
    const random = new Random(this.#seed, streamId('negatives'), step);
    const negatives = Int32Array.from({ length: this.options.negatives }, () => random.below(this.#images));
    return {
      ordinals: tf.tensor1d(ordinals, 'int32'),
      negatives: tf.tensor1d(negatives, 'int32'),
      places: tf.tensor1d(Float32Array.from({ length: batch }, (_, i) => i)),
      first: tf.scalar(step === 0 ? 1 : 0),
    };
  }

  settle(carry: NamedTensors, { ordinals, places, first }: NamedTensors): void {
    tf.tidy(() => {
      const all = this.engine.ranks.gather(ordinals as Tensor1D);
      this.#bank.update(carry[ENTRIES] as Tensor2D, all, places as Tensor1D);
    });
    for (const [name, loss] of this.#losses) loss.settle(carry[`${LOG_Z}${name}`], first as Scalar);
  }

  advance(): void {}

  dispose(): void {
    this.network.dispose();
    this.#bank.dispose();
    for (const loss of this.#losses.values()) loss.dispose();
  }

  /** The entries that a step reads, as they are before it. */
  protected rows({ ordinals, negatives }: NamedTensors): BankRows {
    return { positives: this.#bank.of(ordinals as Tensor1D), negatives: this.#bank.of(negatives as Tensor1D) };
  }

  /**
   * The losses of unit-norm embeddings [n, dim] of this rank's images by name, and what `settle` is to have.
   *
   * @param entries those of them that the bank takes
   */
  protected against(
    rows: BankRows,
    { first }: NamedTensors,
    embeddings: Readonly<Record<string, Tensor2D>>,
    entries: Tensor2D,
  ): { readonly terms: Record<string, Scalar>; readonly carry: Record<string, Tensor> } {
    const terms: Record<string, Scalar> = {};
    const carry: Record<string, Tensor> = { [ENTRIES]: this.engine.ranks.gather(entries) };
    for (const [name, embedding] of Object.entries(embeddings)) {
      const { loss, logZ } = (this.#losses.get(name) as BankLoss).of(embedding, rows, first as Scalar);
      terms[name] = loss;
      if (logZ) carry[`${LOG_Z}${name}`] = logZ;
    }
    return { terms, carry };
  }

  /** A view of this rank's images, checked. */
  protected view<View extends Tensor>(views: StepViews, name: string): View {
    return viewOf<View>(views, name, this.options, this.engine.ranks.size);
  }
}
