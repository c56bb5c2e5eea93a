/**
 * What an engine is: a TensorFlow.js backend plus the few training kernels that TensorFlow.js lacks.
 *
 * Model and trainer are written against `@tensorflow/tfjs-core` and this interface only. Every engine passes one
 * contract suite (test/engine/contract.ts), so adding one means adding a folder and a line there.
 */
import type { Rank, Tensor, Variable } from '@tensorflow/tfjs-core';

export const ENGINE_NAMES = ['wasm', 'tensorflow', 'torch'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** One stochastic-gradient step with momentum and weight decay, as PyTorch's SGD: v <- m v + (g + d p); p <- p - lr v. */
export interface SgdOptions {
  readonly learningRate: number;
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

export interface Engine {
  readonly name: EngineName;
  /** One line for people: backend, versions, device. */
  readonly description: string;

  /**
   * uint8 RGB to normalised float32 on the device: (x / 255 - mean) / std with ImageNet's constants.
   * The bytes are read before this returns, so their slot may be released afterwards.
   */
  upload(bytes: Uint8Array, shape: readonly number[]): Tensor;

  /**
   * Train-mode batch norm over [N, H, W, C] or [N, C] with N cut into `groups` equal contiguous groups that are
   * normalised by their own (biased) statistics. Differentiable in x, scale and offset. With `relu`, max(y, 0) is fused;
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

  /** SGD on many variables at once, in place. Gradients are not disposed. */
  sgd(parameters: readonly Variable[], gradients: readonly Tensor[], velocities: readonly Variable[], options: SgdOptions): void;

  /** target <- target + weight (source - target), in place, for many variables at once (torch.lerp). */
  lerp(targets: readonly Variable[], sources: readonly (Variable | Tensor)[], weight: number): void;

  /** queue[pointer .. pointer + n) <- keys, in place; queue [K, D], keys [n, D], no wrap-around. */
  enqueue(queue: Variable<Rank.R2>, keys: Tensor, pointer: number): void;

  /** Frees what the engine holds; tensors are unusable afterwards. */
  dispose(): Promise<void>;
}
