/**
 * Train-mode batch norm as the tape sees it: kernel names, inputs, outputs and the gradient.
 *
 * GroupedBatchNorm(x, scale, offset, residual?) -> y, mean, variance, groupMean, groupInverse, reserve?
 * GroupedBatchNormGrad(x, y?, dy, scale, groupMean, groupInverse, reserve?) -> dx, dScale, dOffset, dResidual?
 * with groupMean and groupInverse (1 / sqrt(variance + epsilon)) [groups, C] kept for the backward pass. They are a matter between an
 * engine's two kernels, and so is a third tensor that it may keep, the reserve.
 */
import * as tf from '@tensorflow/tfjs-core';
import { registerGradient } from '@tensorflow/tfjs-core';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine.js';
import { at, runKernel } from '../kernel.js';

export const GroupedBatchNorm = 'GroupedBatchNorm';
export const GroupedBatchNormGrad = 'GroupedBatchNormGrad';

export interface GroupedBatchNormInputs {
  readonly x: TensorInfo;
  readonly scale: TensorInfo;
  readonly offset: TensorInfo;
  readonly residual?: TensorInfo;
}

export interface GroupedBatchNormAttrs {
  readonly groups: number;
  readonly epsilon: number;
  readonly relu: boolean;
  readonly residual: boolean;
}

export interface GroupedBatchNormGradInputs {
  readonly x: TensorInfo;
  /** The forward output; given when relu was fused. */
  readonly y?: TensorInfo;
  readonly dy: TensorInfo;
  readonly scale: TensorInfo;
  readonly groupMean: TensorInfo;
  readonly groupInverse: TensorInfo;
  /** Of an engine whose forward kernel gives one. */
  readonly reserve?: TensorInfo;
}

export interface GroupedBatchNormGradAttrs {
  readonly groups: number;
  readonly epsilon: number;
  /** Also give dResidual, dy masked by y > 0. */
  readonly residual: boolean;
}

/** Registers the gradient for all backends; registering it again replaces it. */
export function registerGroupedBatchNormGradient(): void {
  registerGradient({
    kernelName: GroupedBatchNorm,
    inputsToSave: ['x', 'scale'],
    outputsToSave: [true, false, false, true, true, true],
    gradFunc: (dys, saved, attrs) => {
      const dy = at(dys as Tensor[], 0);
      const [x, scale, y, groupMean, groupInverse, reserve] = saved;
      const { groups, epsilon, relu, residual } = attrs as unknown as GroupedBatchNormAttrs;
      // All at once, here: TensorFlow.js asks for one input's gradient at a time.
      const gradients = runKernel(
        GroupedBatchNormGrad,
        { x, y: relu ? y : undefined, dy, scale, groupMean, groupInverse, reserve },
        { groups, epsilon, residual: relu && residual },
      );
      return {
        x: () => at(gradients, 0),
        scale: () => at(gradients, 1),
        offset: () => at(gradients, 2),
        // Without relu the residual's gradient is dy itself.
        residual: () => (relu ? at(gradients, 3) : dy.clone()),
      };
    },
  });
}

/** `Engine.groupedBatchNorm` for an engine that registers the kernels: checks shapes, runs, and drops the outputs only the gradient needs. */
export const groupedBatchNorm: Engine['groupedBatchNorm'] = (x, scale, offset, options) => {
  check(x, scale, offset, options);
  const { groups, epsilon, relu = false, residual } = options;
  const [y, mean, variance, ...kept] = runKernel(
    GroupedBatchNorm,
    { x, scale, offset, residual },
    { groups, epsilon, relu, residual: residual !== undefined },
  );
  for (const tensor of kept) tensor.dispose();
  return { y: y as Tensor, mean: mean as Tensor, variance: variance as Tensor };
};

/** `Engine.groupedBatchNorm` as TensorFlow.js operations, whose gradients make its own. */
export const compositeGroupedBatchNorm: Engine['groupedBatchNorm'] = (x, scale, offset, options) => {
  check(x, scale, offset, options);
  const { groups, epsilon, relu = false, residual } = options;
  const [channels = 0] = scale.shape;
  const count = x.size / channels / groups;
  return tf.tidy(() => {
    const rows = tf.reshape(x, [groups, count, channels]);
    const means = tf.mean(rows, 1, true);
    const centred = tf.sub(rows, means);
    const variances = tf.mean(tf.square(centred), 1, true); // [groups, 1, C], biased
    const normalised = tf.mul(centred, tf.rsqrt(tf.add(variances, epsilon)));
    let y = tf.reshape(tf.add(tf.mul(normalised, scale), offset), x.shape);
    if (residual) y = tf.add(y, residual);
    if (relu) y = tf.relu(y);
    return { y, mean: tf.mean(means, [0, 1]), variance: tf.mul(tf.mean(variances, [0, 1]), count / (count - 1)) };
  });
};

function check(x: Tensor, scale: Tensor, offset: Tensor, { groups, residual }: Parameters<Engine['groupedBatchNorm']>[3]): void {
  const [batch = 0] = x.shape;
  const channels = x.shape[x.rank - 1] ?? 0;
  if (x.rank !== 2 && x.rank !== 4) {
    throw new Error(`batch norm of shape [${x.shape}]: expected [N, H, W, C] or [N, C]`);
  }
  for (const [name, tensor] of Object.entries({ scale, offset })) {
    if (tensor.shape.join() !== String(channels)) {
      throw new Error(`batch norm ${name} of shape [${tensor.shape}]: expected [${channels}] for x [${x.shape}]`);
    }
  }
  for (const [name, tensor] of Object.entries({ x, scale, offset, residual })) {
    if (tensor !== undefined && tensor.dtype !== 'float32') throw new Error(`batch norm ${name} is ${tensor.dtype}: expected float32`);
  }
  if (residual !== undefined && residual.shape.join() !== x.shape.join()) {
    throw new Error(`batch norm residual of shape [${residual.shape}]: expected the shape of x, [${x.shape}]`);
  }
  if (!Number.isInteger(groups) || groups < 1 || batch % groups !== 0) {
    throw new Error(`batch norm groups ${groups}: expected a divisor of the batch size ${batch}`);
  }
  if (x.size / channels / groups < 2) {
    throw new Error(
      `batch norm of shape [${x.shape}] in ${groups} groups: one value a channel has no variance; use fewer groups or a larger batch`,
    );
  }
}
