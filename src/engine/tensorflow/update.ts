/**
 * In-place updates of variables.
 *
 * TensorFlow's eager tensors do not change, its resource variables do. For the time of an update a variable of TensorFlow.js lends its
 * memory to one of those: nothing is copied, and nothing large is allocated. TensorFlow counts who else uses that memory (a clone, a view,
 * the tensor that the variable was made from) and updates a copy when somebody does.
 */
import type { Rank, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { SgdOptions } from '../engine.js';
import type { NodeBackend } from './binding.js';
import { Eager } from './eager.js';
import type { Ref } from './eager.js';

/** TensorFlow's name for resources that nobody can look up: they go with the last handle. */
const ANONYMOUS = 'cd2c89b7-88b7-44c8-ad83-06c2a9158347';

/**
 * Runs `update` on a resource that holds the variable's values; they are the variable's again afterwards, also where it throws.
 * @param inputs what `update` reads besides: a variable that is among them, such as a gradient that is the parameter, lends nothing
 */
function inPlace(backend: NodeBackend, eager: Eager, variable: Variable, inputs: readonly Ref[], update: (resource: Ref) => void): void {
  const dtype = { dtype: eager.T.T };
  const held = eager.of(variable);
  const string = { container: '', shared_name: ANONYMOUS };
  const resource = eager.run('VarHandleOp', [], { type: dtype, shape: { shape: variable.shape }, string });
  eager.runAll('AssignVariableOp', [resource, held], 0, { type: dtype });
  const alone = backend.refCount(variable.dataId) === 1 && !inputs.some(({ id }) => id === held.id);
  if (alone) eager.binding.deleteTensor(held.id);
  try {
    update(resource);
  } finally {
    const value = eager.run('ReadVariableOp', [resource], { type: dtype });
    if (alone) backend.tensorMap.get(variable.dataId).id = eager.release(value);
    else assign(eager, variable, value);
    eager.free(resource);
  }
}

function assign(eager: Eager, variable: Variable, value: Ref): void {
  const tensor = eager.give(value);
  variable.assign(tensor);
  tensor.dispose();
}

/** v <- m v + (g + d p) as v + (d / m) p, then TensorFlow's own m v + g, which takes p - lr v along. */
export function sgd(
  backend: NodeBackend,
  parameters: readonly Variable[],
  gradients: readonly Tensor[],
  velocities: readonly Variable[],
  { learningRate, momentum, weightDecay }: SgdOptions,
): void {
  Eager.scope(backend, (eager) => {
    const [rate, kept] = [eager.of(learningRate), eager.floats(momentum)];
    // What is subtracted of the parameter: from the velocity, or without momentum from the gradient.
    const decay = eager.floats(momentum === 0 ? -weightDecay : -weightDecay / momentum);
    for (const [i, parameter] of parameters.entries()) {
      let gradient = eager.of(gradients[i] as Tensor);
      if (momentum === 0 && weightDecay !== 0) gradient = eager.run('Sub', [gradient, eager.run('Mul', [eager.of(parameter), decay])]);
      inPlace(backend, eager, velocities[i] as Variable, [gradient], (v) => {
        if (momentum !== 0 && weightDecay !== 0) eager.runAll('ResourceApplyGradientDescent', [v, decay, eager.of(parameter)], 0);
        inPlace(backend, eager, parameter, [gradient], (p) => eager.runAll('ResourceApplyMomentum', [p, v, rate, gradient, kept], 0));
      });
    }
  });
}

export function lerp(backend: NodeBackend, targets: readonly Variable[], sources: readonly Tensor[], weight: number): void {
  Eager.scope(backend, (eager) => {
    // From the nearer end, as torch.lerp: weights 0 and 1 give target and source to the last bit.
    const near = weight < 0.5;
    const factor = eager.floats(near ? weight : weight - 1);
    for (const [i, target] of targets.entries()) {
      const source = eager.of(sources[i] as Tensor);
      const way = eager.run('Sub', near ? [eager.of(target), source] : [source, eager.of(target)]);
      if (near) inPlace(backend, eager, target, [], (resource) => eager.runAll('ResourceApplyGradientDescent', [resource, factor, way], 0));
      else {
        const part = eager.run('Mul', [way, factor]);
        assign(eager, target, eager.run('AddV2', [source, part]));
        eager.free(part);
      }
      eager.free(way);
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

/** bank[ordinals[i]] <- rows[i] */
export function scatterRows(backend: NodeBackend, bank: Variable<Rank.R2>, rows: Tensor, ordinals: Tensor): void {
  Eager.scope(backend, (eager) => {
    const type = { dtype: eager.T.T, Tindices: eager.binding.TF_INT32 };
    const fresh = eager.of(rows);
    inPlace(backend, eager, bank, [fresh], (resource) =>
      eager.runAll('ResourceScatterUpdate', [resource, eager.of(ordinals), fresh], 0, { type }),
    );
  });
}
