/**
 * A network: its variables by name, and the layers over them. Backbones, heads and predictors are functions of layers, so that one text
 * serves train and eval mode.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../../engine/engine.js';
import { syncBatchNorm } from '../../engine/operations/sync-batch-norm.js';
import { BN_EPSILON, type NetworkSpecs, type ParameterSpec, startingValues } from './parameters.js';

/** PyTorch's default, which ResNet and the methods use. */
const BN_MOMENTUM = 0.1;

/** What a forward pass is made of; names are the module's (`layer1.0.bn2`). */
export interface Layers {
  convolution(name: string, x: Tensor4D, stride: number): Tensor4D;
  /** x W + b, [N, in] -> [N, out]; b where the network has one. */
  linear(name: string, x: Tensor2D): Tensor2D;
  /** bn(x), plus `residual` when given, then ReLU when asked; [N, H, W, C] or [N, C]. */
  norm<T extends Tensor2D | Tensor4D>(name: string, x: T, options: { readonly relu?: boolean; readonly residual?: T }): T;
}

/** Batch statistics of one train-mode forward, by batch norm, until `commit` moves the running statistics by them. */
export type Statistics = { readonly name: string; readonly mean: Tensor; readonly variance: Tensor }[];

/** A network starts at random by a seed, or as a copy of another's tensors of the same names. No gradient is taken of a copy. */
export type NetworkOptions = {
  /** Parts of the batch of all ranks that batch norm normalises separately; those of one rank are contiguous. One is of all ranks. */
  readonly bnGroups: number;
} & ({ readonly seed: number } | { readonly copyOf: Network });

export class Network {
  /** In the order of their specs. */
  readonly parameters: ReadonlyMap<string, Variable>;
  readonly buffers: ReadonlyMap<string, Variable>;
  readonly #engine: Engine;
  /** Of this rank. */
  readonly #bnGroups: number;
  /** Whether the batch of all ranks is one group. */
  readonly #synchronised: boolean;

  constructor(engine: Engine, specs: readonly NetworkSpecs[], options: NetworkOptions) {
    this.#engine = engine;
    this.#synchronised = options.bnGroups === 1 && engine.ranks.size > 1;
    this.#bnGroups = groupsOfRank(options.bnGroups, engine.ranks.size);
    const trainable = !('copyOf' in options);
    const make = (spec: ParameterSpec, moves: boolean): [string, Variable] => {
      const values = 'copyOf' in options ? options.copyOf.#values(spec.name) : startingValues(spec, options.seed);
      const start = tf.tensor(values, [...spec.shape], 'float32');
      const variable = tf.variable(start, moves);
      start.dispose();
      return [spec.name, variable];
    };
    this.parameters = new Map(specs.flatMap(({ parameters }) => parameters.map((spec) => make(spec, trainable))));
    this.buffers = new Map(specs.flatMap(({ buffers }) => buffers.map((spec) => make(spec, false))));
  }

  /** Layers that normalise by the statistics of the batch, and append them to `statistics`: `commit` takes those once it is off the tape. */
  train(statistics: Statistics): Layers {
    return {
      ...this.#weighted,
      norm: (name, x, { relu, residual }) => {
        const [scale, offset] = [this.parameter(`${name}.weight`), this.parameter(`${name}.bias`)];
        const options = { epsilon: BN_EPSILON, relu, residual };
        const { y, mean, variance } = this.#synchronised
          ? syncBatchNorm(this.#engine, x, scale, offset, options)
          : this.#engine.groupedBatchNorm(x, scale, offset, { ...options, groups: this.#bnGroups });
        statistics.push({ name, mean: tf.keep(mean), variance: tf.keep(variance) });
        return y as typeof x;
      },
    };
  }

  /** Layers that normalise by the running statistics: each row is computed for itself. */
  eval(): Layers {
    return {
      ...this.#weighted,
      norm: (name, x, { relu, residual }) => {
        const [mean, variance] = [this.#buffer(`${name}.running_mean`), this.#buffer(`${name}.running_var`)] as [Tensor1D, Tensor1D];
        const [scale, offset] = [this.parameter(`${name}.weight`), this.parameter(`${name}.bias`)] as [Tensor1D, Tensor1D];
        let y: Tensor = tf.batchNorm(x as Tensor, mean, variance, offset, scale, BN_EPSILON);
        if (residual) y = tf.add(y, residual);
        return (relu ? tf.relu(y) : y) as typeof x;
      },
    };
  }

  /** running <- 0.9 running + 0.1 batch, the mean over ranks, for each forward in turn; frees the statistics. */
  commit(statistics: Statistics): void {
    for (const forward of forwards(statistics)) {
      const buffers = forward.flatMap(({ name }) => [this.#buffer(`${name}.running_mean`), this.#buffer(`${name}.running_var`)]);
      const batch = forward.flatMap(({ mean, variance }) => [mean, variance]);
      const means = this.#engine.ranks.mean(batch);
      this.#engine.lerp(buffers, means, BN_MOMENTUM);
      tf.dispose([...means, ...batch]);
    }
    statistics.length = 0;
  }

  /**
   * target <- target + weight (source - target), over the parameters of these names and not over batch norm buffers (MoCo, Eq. 2).
   *
   * @param weight a scalar on the device where it changes from step to step
   */
  follow(source: Network, names: readonly string[], weight: number | Scalar): void {
    const targets = names.map((name) => this.parameter(name));
    const sources = names.map((name) => source.parameter(name));
    this.#engine.lerp(targets, sources, weight);
  }

  parameter(name: string): Variable {
    return found(this.parameters, name);
  }

  /** Parameters and buffers: what a checkpoint holds of the network. */
  get tensors(): ReadonlyMap<string, Variable> {
    return new Map([...this.parameters, ...this.buffers]);
  }

  dispose(): void {
    for (const variable of this.tensors.values()) variable.dispose();
  }

  #buffer(name: string): Variable {
    return found(this.buffers, name);
  }

  #values(name: string): Float32Array {
    return (this.parameters.get(name) ?? this.#buffer(name)).dataSync<'float32'>();
  }

  readonly #weighted: Pick<Layers, 'convolution' | 'linear'> = {
    convolution: (name, x, stride) => {
      const kernel = this.parameter(`${name}.weight`) as Tensor4D;
      return tf.conv2d(x, kernel, stride, (kernel.shape[0] - 1) / 2);
    },
    linear: (name, x) => {
      const product: Tensor2D = tf.matMul(x, this.parameter(`${name}.weight`) as Tensor2D);
      const bias = this.parameters.get(`${name}.bias`);
      return bias ? tf.add<Tensor2D>(product, bias) : product;
    },
  };
}

/** Of the batch norm groups of all ranks, those of one; one where they do not divide, for a group does not go beyond a rank unless it is of all. */
export function groupsOfRank(groups: number, ranks: number): number {
  return groups % ranks === 0 ? groups / ranks : 1;
}

/** The statistics of several forwards one after the other, parted: a batch norm comes once in each. */
function forwards(statistics: Statistics): Statistics[] {
  const parts: Statistics[] = [];
  const first = statistics[0]?.name;
  for (const one of statistics) {
    if (one.name === first) parts.push([]);
    parts.at(-1)?.push(one);
  }
  return parts;
}

function found(tensors: ReadonlyMap<string, Variable>, name: string): Variable {
  const variable = tensors.get(name);
  if (!variable) throw new RangeError(`The network has no tensor "${name}"`);
  return variable;
}
