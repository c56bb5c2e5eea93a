/**
 * The two kernels that every engine adds to TensorFlow.js, as the tape sees them: names, inputs, outputs and the gradient.
 *
 * GroupedBatchNorm(x, scale, offset, residual?) -> y, mean, variance, groupMean, groupInverse
 * GroupedBatchNormGrad(x, y?, dy, scale, groupMean, groupInverse) -> dx, dScale, dOffset, dResidual?
 * with groupMean and groupInverse (1 / sqrt(variance + epsilon)) [groups, C] kept for the backward pass.
 */
import { engine, registerGradient } from "@tensorflow/tfjs-core";
import type { NamedAttrMap, NamedTensorMap, Tensor, TensorInfo } from "@tensorflow/tfjs-core";
import type { Engine, GroupedBatchNormResult } from "./engine.js";

export const GroupedBatchNorm = "GroupedBatchNorm";
export const GroupedBatchNormGrad = "GroupedBatchNormGrad";

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
}

export interface GroupedBatchNormGradAttrs {
  readonly groups: number;
  /** Also give dResidual, dy masked by y > 0. */
  readonly residual: boolean;
}

function runKernel<Result extends Tensor | Tensor[]>(
  name: string,
  inputs: object,
  attrs: object,
): Result {
  return engine().runKernel<Result>(name, inputs as NamedTensorMap, attrs as NamedAttrMap);
}

/** Registers the gradient for all backends; registering it again replaces it. */
export function registerGroupedBatchNormGradient(): void {
  registerGradient({
    kernelName: GroupedBatchNorm,
    inputsToSave: ["x", "scale"],
    outputsToSave: [true, false, false, true, true],
    gradFunc: (dys, saved, attrs) => {
      const [dy] = dys as Tensor[];
      const [x, scale, y, groupMean, groupInverse] = saved;
      const { groups, relu, residual } = attrs as unknown as GroupedBatchNormAttrs;
      if (dy === undefined || x === undefined || scale === undefined)
        throw new Error("GroupedBatchNorm saved no tensors");
      // Without relu the residual's gradient is dy itself.
      const [dx, dScale, dOffset, masked] = runKernel<Tensor[]>(
        GroupedBatchNormGrad,
        { x, dy, scale, groupMean, groupInverse, ...(relu ? { y } : {}) },
        { groups, residual: relu && residual } satisfies GroupedBatchNormGradAttrs,
      );
      if (dx === undefined || dScale === undefined || dOffset === undefined)
        throw new Error("GroupedBatchNormGrad gave too few tensors");
      return {
        x: () => dx,
        scale: () => dScale,
        offset: () => dOffset,
        residual: () => masked ?? dy.clone(),
      };
    },
  });
}

/** `Engine.groupedBatchNorm` over the kernels: checks shapes, runs, and drops the outputs only the gradient needs. */
export const groupedBatchNorm: Engine["groupedBatchNorm"] = (
  x,
  scale,
  offset,
  options,
): GroupedBatchNormResult => {
  const { groups, epsilon, relu = false, residual } = options;
  const [batch = 0] = x.shape;
  const channels = x.shape[x.rank - 1] ?? 0;
  if (x.rank !== 2 && x.rank !== 4)
    throw new Error(`batch norm of shape [${x.shape}]: expected [N, H, W, C] or [N, C]`);
  for (const [name, tensor] of Object.entries({ scale, offset })) {
    if (tensor.size !== channels)
      throw new Error(
        `batch norm ${name} of shape [${tensor.shape}]: expected [${channels}] for x [${x.shape}]`,
      );
  }
  if (residual !== undefined && residual.shape.join() !== x.shape.join()) {
    throw new Error(
      `batch norm residual of shape [${residual.shape}]: expected the shape of x, [${x.shape}]`,
    );
  }
  if (!Number.isInteger(groups) || groups < 1 || batch % groups !== 0) {
    throw new Error(`batch norm groups ${groups}: expected a divisor of the batch size ${batch}`);
  }
  const values = x.size / channels / groups;
  if (values < 2) {
    throw new Error(
      `batch norm of shape [${x.shape}] in ${groups} groups: one value a channel has no variance; use fewer groups or a larger batch`,
    );
  }
  const [y, mean, variance, groupMean, groupInverse] = runKernel<Tensor[]>(
    GroupedBatchNorm,
    { x, scale, offset, ...(residual === undefined ? {} : { residual }) },
    { groups, epsilon, relu, residual: residual !== undefined } satisfies GroupedBatchNormAttrs,
  );
  if (y === undefined || mean === undefined || variance === undefined)
    throw new Error("GroupedBatchNorm gave too few tensors");
  groupMean?.dispose();
  groupInverse?.dispose();
  return { y, mean, variance };
};
