/** In-place updates of variables. TensorFlow's eager tensors do not change: a variable gets the tensor that holds its next value. */
import type { Rank, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { SgdOptions } from '../engine.js';
import type { NodeBackend } from './binding.js';
import { Eager } from './eager.js';
import type { Ref } from './eager.js';

function assign(eager: Eager, variable: Variable, value: Ref): void {
  const tensor = eager.give(value);
  variable.assign(tensor);
  tensor.dispose();
}

export function sgd(
  backend: NodeBackend,
  parameters: readonly Variable[],
  gradients: readonly Tensor[],
  velocities: readonly Variable[],
  { learningRate, momentum, weightDecay }: SgdOptions,
): void {
  Eager.scope(backend, (eager) => {
    const [rate, kept, decay] = [eager.of(learningRate), eager.floats(momentum), eager.floats(weightDecay)];
    for (const [i, parameter] of parameters.entries()) {
      const velocity = velocities[i] as Variable;
      const p = eager.of(parameter);
      const decayed = eager.run('Mul', [p, decay]);
      const slope = eager.run('AddV2', [eager.of(gradients[i] as Tensor), decayed]);
      eager.free(decayed);
      const before = eager.run('Mul', [eager.of(velocity), kept]);
      const v = eager.run('AddV2', [before, slope]);
      eager.free(before, slope);
      const change = eager.run('Mul', [v, rate]);
      assign(eager, parameter, eager.run('Sub', [p, change]));
      eager.free(change);
      assign(eager, velocity, v);
    }
  });
}

export function lerp(backend: NodeBackend, targets: readonly Variable[], sources: readonly Tensor[], weight: number): void {
  Eager.scope(backend, (eager) => {
    // From the nearer end, as torch.lerp: weights 0 and 1 give target and source to the last bit.
    const near = weight < 0.5;
    const factor = eager.floats(near ? weight : weight - 1);
    for (const [i, target] of targets.entries()) {
      const [from, to] = [eager.of(target), eager.of(sources[i] as Tensor)];
      const way = eager.run('Sub', [to, from]);
      const part = eager.run('Mul', [way, factor]);
      eager.free(way);
      assign(eager, target, eager.run('AddV2', [near ? from : to, part]));
      eager.free(part);
    }
  });
}

/** queue[first .. first + n) <- keys */
export function enqueue(backend: NodeBackend, queue: Variable<Rank.R2>, keys: Tensor, first: number): void {
  Eager.scope(backend, (eager) => {
    const [rows, width] = queue.shape;
    const [count = 0] = keys.shape;
    const type = { ...eager.T, Index: eager.binding.TF_INT32 };
    const slice = (begin: number, length: number): Ref =>
      eager.run('Slice', [eager.of(queue), eager.integers([begin, 0]), eager.integers([length, width])], { type });
    const last = first + count;
    const parts = [slice(0, first), eager.of(keys), slice(last, rows - last), eager.integers(0)];
    assign(eager, queue, eager.run('ConcatV2', parts, { type: { ...eager.T, Tidx: eager.binding.TF_INT32 }, int: { N: 3 } }));
  });
}
