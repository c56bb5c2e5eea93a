/** Reductions over axes. */
import * as tf from '@tensorflow/tfjs-core';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { ScalarType } from '../addon.js';
import { scalarTypeOf } from '../backend.js';
import { register } from '../register.js';
import type { Call } from '../register.js';
import type { Ref } from '../torch.js';

type X = { readonly x: TensorInfo };
interface Reduction {
  readonly axis?: number | number[];
  /** What Max calls its axis. */
  readonly reductionIndices?: number | number[];
  readonly keepDims: boolean;
}

/** Over all axes at once; `dtype` is the result's, by that of x. */
function reduction(
  name: string,
  dtype: (of: DataType) => DataType,
  reduce: (call: Call<X, Reduction>, x: Ref, axes: number[], as: ScalarType) => Ref,
): void {
  register<X, Reduction>(name, (call) => {
    const { inputs, attrs, backend } = call;
    const axes = tf.util.parseAxisParam(attrs.axis ?? attrs.reductionIndices ?? [...inputs.x.shape.keys()], inputs.x.shape);
    const result = dtype(inputs.x.dtype);
    // No axes mean none here, and all of them to LibTorch.
    if (axes.length === 0) return backend.output(call.torch.run('aten::clone', backend.tensor(inputs.x)), result);
    return backend.output(reduce(call, backend.held(inputs.x), axes, scalarTypeOf(result)), result);
  });
}

/** One axis after the other, the last first, for operators that take one. */
function eachAxis(operator: string): (call: Call<X, Reduction>, x: Ref, axes: number[]) => Ref {
  return ({ attrs: { keepDims }, torch }, x, axes) =>
    axes.toSorted((a, b) => b - a).reduce((value, axis) => torch.run(operator, value, axis, keepDims), x);
}

export function registerReductions(): void {
  const count = (of: DataType): DataType => (of === 'bool' ? 'int32' : of);
  reduction(tf.Sum, count, ({ attrs, torch }, x, axes, as) => torch.run('aten::sum.dim_IntList', x, axes, attrs.keepDims, as));
  reduction(
    tf.Mean,
    () => 'float32',
    ({ attrs, torch }, x, axes, as) => torch.run('aten::mean.dim', x, axes, attrs.keepDims, as),
  );
  const same = (of: DataType): DataType => of;
  reduction(tf.Max, same, ({ attrs, torch }, x, axes) => torch.run('aten::amax', x, axes, attrs.keepDims));
  reduction(tf.Min, same, ({ attrs, torch }, x, axes) => torch.run('aten::amin', x, axes, attrs.keepDims));
  reduction(tf.Prod, count, eachAxis('aten::prod.dim_int'));
  reduction(tf.All, same, eachAxis('aten::all.dim'));
  reduction(tf.Any, same, eachAxis('aten::any.dim'));

  for (const [name, operator, last] of [
    [tf.ArgMax, 'aten::argmax', -Infinity],
    [tf.ArgMin, 'aten::argmin', Infinity],
  ] as const) {
    register<X, { axis: number }>(name, ({ inputs: { x }, attrs, backend, torch }) => {
      const [axis = 0] = tf.util.parseAxisParam(attrs.axis, x.shape);
      const value = backend.tensor(x);
      // TensorFlow.js passes NaN by, LibTorch takes it for the greatest and the least.
      const ordered =
        x.dtype === 'float32' ? torch.run('aten::nan_to_num', value, last, Infinity, -Infinity) : backend.cast(value, ScalarType.int32);
      return backend.output(torch.run(operator, ordered, axis, false), 'int32');
    });
  }

  register<{ logits: TensorInfo }, tf.SoftmaxAttrs>(tf.Softmax, ({ inputs: { logits }, attrs: { dim }, backend, torch }) =>
    backend.output(torch.run('aten::softmax.int', backend.cast(backend.tensor(logits), ScalarType.float32), dim), 'float32'),
  );

  register<X, tf.CumsumAttrs>(tf.Cumsum, ({ inputs: { x }, attrs: { axis, exclusive, reverse }, backend, torch }) => {
    const value = backend.tensor(x);
    const flip = (ref: Ref): Ref => (reverse ? torch.run('aten::flip', ref, [axis]) : ref);
    const sums = torch.run('aten::cumsum', flip(value), axis, value.type);
    return backend.output(flip(exclusive ? torch.run('aten::sub.Tensor', sums, flip(value)) : sums), x.dtype);
  });

  register<X, tf.TopKAttrs>(tf.TopK, ({ inputs: { x }, attrs: { k }, backend, torch }) => {
    const last = x.shape.length - 1;
    // Stable: of equal values the first comes first.
    const sorted = torch.runAll('aten::sort.stable', backend.tensor(x), true, last, true) as [Ref, Ref];
    const [values, indices] = sorted.map((ref) => torch.run('aten::narrow', ref, last, 0, k)) as [Ref, Ref];
    return [backend.output(torch.run('aten::clone', values), x.dtype), backend.output(indices, 'int32')];
  });
}
