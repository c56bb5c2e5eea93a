/** Gradients for all engines: TensorFlow.js's own, and one in place of its own. */
import './tfjs-extras.js';
import { Mean, mul, registerGradient, reshape, tile, util } from '@tensorflow/tfjs-core';
import type { MeanAttrs, Tensor } from '@tensorflow/tfjs-core';

/**
 * The gradient of a mean as a tile of dy / count. TensorFlow.js multiplies dy with ones of the input's shape, which for the global
 * average of a stage is three passes over its activations; an engine may give a tile that takes no memory at all.
 */
export function registerMeanGradient(): void {
  registerGradient({
    kernelName: Mean,
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attrs) => {
      const [x] = saved as [Tensor];
      const axes = util.parseAxisParam((attrs as unknown as MeanAttrs).axis, x.shape);
      const reduced = new Set(axes);
      const count = axes.reduce((product, axis) => product * (x.shape[axis] ?? 1), 1);
      const kept = x.shape.map((length, axis) => (reduced.has(axis) ? 1 : length));
      const reps = x.shape.map((length, axis) => (reduced.has(axis) ? length : 1));
      return { x: () => tile(mul(reshape(dy as Tensor, kept), 1 / count), reps) };
    },
  });
}
