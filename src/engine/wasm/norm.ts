/** GroupedBatchNorm and its gradient over assembly/norm.ts. */
import { util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { GroupedBatchNorm, GroupedBatchNormGrad } from '../operations/grouped-batch-norm.js';
import type {
  GroupedBatchNormAttrs,
  GroupedBatchNormGradAttrs,
  GroupedBatchNormGradInputs,
  GroupedBatchNormInputs,
} from '../operations/grouped-batch-norm.js';
import type { Heap } from './heap.js';
import { register } from './register.js';

function extents(x: TensorInfo, groups: number): { rows: number; channels: number } {
  const channels = x.shape[x.shape.length - 1] ?? 1;
  return { rows: util.sizeFromShape(x.shape) / channels / groups, channels };
}

export function registerNorm(heap: Heap): void {
  const { kernels } = heap;
  const addressOr0 = (tensor: TensorInfo | undefined): number => (tensor === undefined ? 0 : heap.address(tensor));

  register<GroupedBatchNormInputs, GroupedBatchNormAttrs>(GroupedBatchNorm, ({ inputs, attrs: { groups, epsilon, relu } }) => {
    const { x, scale, offset, residual } = inputs;
    const { rows, channels } = extents(x, groups);
    const y = heap.output(x.shape);
    const mean = heap.output([channels]);
    const variance = heap.output([channels]);
    const groupMean = heap.output([groups, channels]);
    const groupInverse = heap.output([groups, channels]);
    kernels.batchNorm(
      heap.address(x),
      groups,
      rows,
      channels,
      heap.address(scale),
      heap.address(offset),
      epsilon,
      addressOr0(residual),
      relu ? 1 : 0,
      heap.address(y),
      heap.address(mean),
      heap.address(variance),
      heap.address(groupMean),
      heap.address(groupInverse),
      heap.scratch(kernels.batchNormScratch(channels)),
    );
    return [y, mean, variance, groupMean, groupInverse];
  });

  register<GroupedBatchNormGradInputs, GroupedBatchNormGradAttrs>(GroupedBatchNormGrad, ({ inputs, attrs: { groups, residual } }) => {
    const { x, y, dy, scale, groupMean, groupInverse } = inputs;
    const { rows, channels } = extents(x, groups);
    const dx = heap.output(x.shape);
    const dScale = heap.output(scale.shape);
    const dOffset = heap.output(scale.shape);
    const dResidual = residual ? heap.output(x.shape) : undefined;
    kernels.batchNormGradient(
      heap.address(x),
      addressOr0(y),
      heap.address(dy),
      groups,
      rows,
      channels,
      heap.address(scale),
      heap.address(groupMean),
      heap.address(groupInverse),
      heap.address(dx),
      heap.address(dScale),
      heap.address(dOffset),
      addressOr0(dResidual),
      heap.scratch(kernels.batchNormGradientScratch(channels)),
    );
    return dResidual === undefined ? [dx, dScale, dOffset] : [dx, dScale, dOffset, dResidual];
  });
}
