/**
 * What an engine is: a TensorFlow.js backend plus the few training kernels that TensorFlow.js lacks.
 *
 * Model and trainer are written against `@tensorflow/tfjs-core` and this interface only. Every engine passes one
 * contract suite (test/engine/contract.ts), so adding one means adding a folder and a line there.
 */
import type { Rank, Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D, Variable } from '@tensorflow/tfjs-core';
import type { Company } from './company.js';
import type { JpegDecoder } from './jpeg-decoder.js';
import type { PictureStep } from './picture-step.js';
import type { Ranks } from './ranks.js';

/** All engines, whether they work on this machine or not. */
export const ENGINE_NAMES = ['wasm', 'tensorflow', 'torch'] as const;
/** A name of `ENGINE_NAMES`. */
export type EngineName = (typeof ENGINE_NAMES)[number];

/**
 * What convolutions and matrix products compute in. `tf32` and `bf16` round their inputs (10 and 7 bits of mantissa) on
 * hardware that is faster so; parameters, statistics, losses and queues are float32 in all three. The products of losses are so too on a CPU;
 * a GPU takes them in TF32 unless the precision is fp32.
 */
export const PRECISIONS = ['fp32', 'tf32', 'bf16'] as const;
/** A name of `PRECISIONS`. */
export type Precision = (typeof PRECISIONS)[number];

/** How to start an engine. */
export interface EngineOptions {
  /** Default fp32. */
  readonly precision?: Precision;
  /** `auto` (default: the best that the engine finds), `cpu`, `cuda`, or one of several GPUs: `cuda:1`. */
  readonly device?: string;
  /** Threads of the engine's CPU kernels; by default the engine's choice. */
  readonly threads?: number;
  /** The other processes that train with this one. Default: none. */
  readonly company?: Company;
}

/** Inputs and outputs of a step, by name. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** One stochastic-gradient step with momentum and weight decay, as PyTorch's SGD: v <- m v + (g + d p); p <- p - lr v. */
export interface SgdOptions {
  /** float32, on the device: a step that is replayed reads another value each time. */
  readonly learningRate: Scalar;
  readonly momentum: number;
  readonly weightDecay: number;
}

/** What `groupedBatchNorm` gives: the normalised tensor and the statistics that move the running buffers. */
export interface GroupedBatchNormResult {
  /** Same shape as the input. */
  readonly y: Tensor;
  /** Mean over groups of the group means, [C]. No gradient flows through it. */
  readonly mean: Tensor;
  /** Mean over groups of the unbiased group variances, [C]. No gradient flows through it. */
  readonly variance: Tensor;
}

/** What `upload` makes of bytes; by default they are normalised. */
export type UploadedAs = 'normalised' | 'levels';

/** A backend of TensorFlow.js that is ready, with what training needs beside its kernels. */
export interface Engine {
  readonly name: EngineName;
  /** One line for people: backend, versions, device. */
  readonly description: string;
  readonly precision: Precision;
  /** Where tensors live: `cpu`, or a GPU with its index, `cuda:0`. */
  readonly device: string;
  /** The processes that train one network. */
  readonly ranks: Ranks;

  /**
   * uint8 RGB to float32 on the device: normalised, (x / 255 - mean) / std with ImageNet's constants, or the levels 0..255 as they are.
   * The bytes are read before this returns, so their slot may be released afterwards.
   */
  upload(bytes: Uint8Array, shape: readonly number[], as?: UploadedAs): Tensor;

  /**
   * Does to each picture its list of steps, from left to right, and normalises it as `upload` does: float32 [N, H, W, 3] of levels 0..255 to
   * float32 [N, H, W, 3]. Not within a compiled step: steps are host state.
   *
   * @throws Error unless there is a list for each picture
   */
  augment(levels: Tensor4D, steps: readonly (readonly PictureStep[])[]): Tensor4D;

  /**
   * The decoders that the device has for JPEGs; absent from an engine that can have none.
   *
   * @throws Error that says what is missing: a GPU that has them, or a library
   */
  openJpegDecoder?(): JpegDecoder;

  /**
   * Train-mode batch norm over [N, H, W, C] or [N, C] with N cut into `groups` equal contiguous groups that are
   * normalised by their own (biased) statistics. Differentiable in x, scale and offset [C]. With `relu`, max(y, 0) is fused;
   * with `residual` (same shape as x), y = bn(x) + residual before it, differentiable too.
   */
  groupedBatchNorm(
    x: Tensor,
    scale: Tensor,
    offset: Tensor,
    options: {
      readonly groups: number;
      readonly epsilon: number;
      readonly relu?: boolean;
      readonly residual?: Tensor;
    },
  ): GroupedBatchNormResult;

  /**
   * InfoNCE (van den Oord et al. 2018; DetCo Eq. 2, 4, 5) with a queue of negatives, the mean over images of
   * -log( exp(q.k/tau) / (exp(q.k/tau) + sum over the queue of exp(q.n/tau)) ). Differentiable in the queries alone, as MoCo's.
   *
   * @param queries [N, D], unit norm
   * @param keys [N, D], the positive of each query, unit norm
   * @param queue [K, D], the negatives, unit norm
   */
  infoNce(queries: Tensor2D, keys: Tensor2D, queue: Tensor2D, temperature: number): Scalar;

  /**
   * The products of all rows of `a` with all rows of `b`, as precise as losses are: [n, D] and [m, D] -> [n, m], or for each of a stack,
   * [S, n, D] and [S, m, D] -> [S, n, m]. Differentiable in both.
   */
  similarities<T extends Tensor2D | Tensor3D>(a: T, b: T): T;

  /** SGD on many variables at once, in place. Gradients are not disposed. */
  sgd(parameters: readonly Variable[], gradients: readonly Tensor[], velocities: readonly Variable[], options: SgdOptions): void;

  /**
   * target <- target + weight (source - target), in place, for many variables at once (torch.lerp), each of which comes once.
   *
   * @param weight a float32 scalar on the device where it differs from step to step: a number is the same in every replay
   */
  lerp(targets: readonly Variable[], sources: readonly (Variable | Tensor)[], weight: number | Scalar): void;

  /**
   * queue[pointer .. pointer + n) <- keys, in place; queue [K, D], keys [n, D], pointer int32, no wrap-around. An engine whose
   * device alone reads the pointer cannot check it: the caller keeps pointer + n within K.
   */
  enqueue(queue: Variable<Rank.R2>, keys: Tensor, pointer: Scalar): void;

  /**
   * bank[ordinals[i]] <- rows[i], in place; bank [N, D], rows [n, D], ordinals int32 [n]. Where an ordinal comes twice, one of its rows stands. An
   * engine whose device alone reads the ordinals cannot check them: the caller keeps them within 0..N-1.
   */
  scatterRows(bank: Variable<Rank.R2>, rows: Tensor, ordinals: Tensor1D): void;

  /**
   * Prepares a step that is called many times; an engine that cannot capture returns it unchanged. One that can runs it
   * as it is at first, then records the device work of one call and replays that: no JavaScript runs any more.
   *
   * So the step
   * - reads only its inputs and variables, and gets what differs between calls (learning rate, queue pointer) as inputs;
   *   numbers in it are constants;
   * - gets inputs of the same names and shapes each time, and reads no tensor back;
   * - changes only variables, in place, through `sgd`, `lerp` (weight 1 assigns), `enqueue` and `scatterRows`; nothing assigns them anew after the first call,
   *   and no clone or view of them outlives a call, for a replay would write to it too;
   * - keeps nothing else, host state neither: what counts calls does so outside;
   * - gives tensors that it made, neither inputs nor variables, and leaves no others behind (`tf.tidy`).
   *
   * Inputs stay the caller's, and outputs are the caller's to dispose of.
   */
  compile<I extends NamedTensors, O extends NamedTensors>(step: (inputs: I) => O): (inputs: I) => O;

  /** Frees what the engine holds; tensors are unusable afterwards. */
  dispose(): Promise<void>;
}
