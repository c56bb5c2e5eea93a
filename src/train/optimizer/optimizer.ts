/** What an optimizer is to a step and to a checkpoint. */
import type { Scalar, Variable } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../../engine/engine.js';

export interface Optimizer {
  /**
   * Moves its parameters, in place, through `sgd` and `lerp` of the engine alone: it is part of a recorded step (`Engine.compile`).
   *
   * @param gradients one for each parameter, by its name; not disposed
   * @param rate learning rate, float32: a step that is replayed reads another value each time
   */
  update(gradients: NamedTensors, rate: Scalar): void;
  /** What a checkpoint holds of it, by parameter. */
  readonly state: ReadonlyMap<string, Variable>;
  dispose(): void;
}
