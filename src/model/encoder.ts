/** Backbone and heads with their variables: the query encoder, and its slowly moving copy the key encoder. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D, Variable } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine/engine.js';
import { headParameters, project } from './heads.js';
import type { Kind } from './heads.js';
import { levelsOf } from './options.js';
import type { MethodOptions } from './options.js';
import type { ParameterSpec } from './parameters.js';
import { pooledStages, resNet, STAGES } from './resnet.js';
import type { Layers, ResNet, Stage } from './resnet.js';

/** PyTorch's defaults, which ResNet and MoCo use. */
const BN_EPSILON = 1e-5;
const BN_MOMENTUM = 0.1;

/** Batch statistics of one train-mode forward, by batch norm, until `commit` moves the running statistics by them. */
export type Statistics = { readonly name: string; readonly mean: Tensor; readonly variance: Tensor }[];

export class Encoder {
  /** In torchvision's order, then global heads, then local heads. */
  readonly parameters: ReadonlyMap<string, Variable>;
  /** Running means and variances of the batch norms. */
  readonly buffers: ReadonlyMap<string, Variable>;
  readonly #engine: Engine;
  readonly #options: MethodOptions;
  readonly #net: ResNet;

  /**
   * @param kinds which heads it has at every level
   * @param values the starting values of a tensor, in its TensorFlow.js layout
   */
  constructor(
    engine: Engine,
    options: MethodOptions,
    kinds: readonly Kind[],
    trainable: boolean,
    values: (spec: ParameterSpec) => Float32Array,
  ) {
    this.#engine = engine;
    this.#options = options;
    this.#net = resNet(options);
    const heads = kinds.flatMap((kind) =>
      levelsOf(options).flatMap((level) => headParameters(kind, level, this.#net.channels[level], options)),
    );
    const make = (spec: ParameterSpec, moves: boolean): [string, Variable] => {
      const start = tf.tensor(values(spec), [...spec.shape], 'float32');
      const variable = tf.variable(start, moves);
      start.dispose();
      return [spec.name, variable];
    };
    this.parameters = new Map([...this.#net.parameters, ...heads].map((spec) => make(spec, trainable)));
    this.buffers = new Map(this.#net.buffers.map((spec) => make(spec, false)));
  }

  /**
   * Train-mode forward: images [N, H, W, 3] to one unit-norm embedding [N, dim] a level; a patch set goes in as
   * [9N, h, w, 3], image-major. Batch norm statistics are appended to `statistics`: the caller passes them to `commit`
   * once it is off the tape.
   */
  embed(kind: Kind, images: Tensor4D, statistics: Statistics): Record<string, Tensor2D> {
    const levels = levelsOf(this.#options);
    const layers: Layers = {
      ...this.#convolution,
      norm: (name, x, { relu, residual }) => {
        const [scale, offset] = [this.weight(`${name}.weight`), this.weight(`${name}.bias`)];
        const options = { groups: this.#options.bnGroups, epsilon: BN_EPSILON, relu, residual };
        const { y, mean, variance } = this.#engine.groupedBatchNorm(x, scale, offset, options);
        statistics.push({ name, mean: tf.keep(mean), variance: tf.keep(variance) });
        return y as Tensor4D;
      },
    };
    const pooled = pooledStages(this.#net, images, layers, levels.at(-1));
    const embeddings: Record<string, Tensor2D> = {};
    for (const level of levels) {
      const features = pooled[STAGES.indexOf(level)] as Tensor2D;
      embeddings[level] = project(kind, level, features, this.#options.head, this.weight);
    }
    return embeddings;
  }

  /** running <- 0.9 running + 0.1 batch, for each forward in turn; frees the statistics. */
  commit(statistics: Statistics): void {
    const buffers = statistics.flatMap(({ name }) => [this.#buffer(`${name}.running_mean`), this.#buffer(`${name}.running_var`)]);
    const batch = statistics.flatMap(({ mean, variance }) => [mean, variance]);
    this.#engine.lerp(buffers, batch, BN_MOMENTUM);
    tf.dispose(batch);
    statistics.length = 0;
  }

  /** Eval-mode forward (running statistics): images [N, H, W, 3] to the pooled features [N, C] of each stage. */
  features(images: Tensor4D): Record<Stage, Tensor2D> {
    return tf.tidy(() => {
      const layers: Layers = {
        ...this.#convolution,
        norm: (name, x, { relu, residual }) => {
          const [mean, variance] = [this.#buffer(`${name}.running_mean`), this.#buffer(`${name}.running_var`)];
          const [scale, offset] = [this.weight(`${name}.weight`), this.weight(`${name}.bias`)];
          let y = tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, offset as tf.Tensor1D, scale as tf.Tensor1D, BN_EPSILON);
          if (residual) y = tf.add(y, residual);
          return relu ? tf.relu(y) : y;
        },
      };
      const [res2, res3, res4, res5] = pooledStages(this.#net, images, layers) as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
      return { res2, res3, res4, res5 };
    });
  }

  readonly weight = (name: string): Variable => found(this.parameters, name);

  /** A parameter or a buffer. */
  tensor(name: string): Variable {
    return this.parameters.get(name) ?? this.#buffer(name);
  }

  dispose(): void {
    for (const variable of [...this.parameters.values(), ...this.buffers.values()]) variable.dispose();
  }

  #buffer(name: string): Variable {
    return found(this.buffers, name);
  }

  readonly #convolution: Pick<Layers, 'convolution'> = {
    convolution: (name, x, stride) => {
      const kernel = this.weight(`${name}.weight`) as Tensor4D;
      return tf.conv2d(x, kernel, stride, (kernel.shape[0] - 1) / 2);
    },
  };
}

function found(tensors: ReadonlyMap<string, Variable>, name: string): Variable {
  const variable = tensors.get(name);
  if (!variable) throw new RangeError(`The encoder has no tensor "${name}"`);
  return variable;
}
