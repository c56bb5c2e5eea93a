/** What an optimizer is to a step and to a checkpoint. */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';

export interface Optimizer {
  /**
   * Moves its parameters, in place.
   *
   * @param gradients one for each parameter, in their order; not disposed
   * @param rate learning rate, float32: a step that is replayed reads another value each time
   */
  update(gradients: readonly Tensor[], rate: Scalar): void;
  /** What a checkpoint holds of it, by parameter. */
  readonly state: ReadonlyMap<string, Variable>;
  dispose(): void;
}
