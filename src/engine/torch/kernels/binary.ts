/** Functions of two tensors that are broadcast against each other. */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ScalarType } from '../addon.js';
import { register } from '../register.js';

type AB = { readonly a: TensorInfo; readonly b: TensorInfo };

const ARITHMETIC: Readonly<Record<string, string>> = {
  [tf.Sub]: 'aten::sub.Tensor',
  [tf.Multiply]: 'aten::mul.Tensor',
  [tf.Maximum]: 'aten::maximum',
  [tf.Minimum]: 'aten::minimum',
  [tf.Mod]: 'aten::remainder.Tensor',
  [tf.Pow]: 'aten::pow.Tensor_Tensor',
  [tf.Atan2]: 'aten::atan2',
};

const COMPARISONS: Readonly<Record<string, string>> = {
  [tf.Equal]: 'aten::eq.Tensor',
  [tf.NotEqual]: 'aten::ne.Tensor',
  [tf.Greater]: 'aten::gt.Tensor',
  [tf.GreaterEqual]: 'aten::ge.Tensor',
  [tf.Less]: 'aten::lt.Tensor',
  [tf.LessEqual]: 'aten::le.Tensor',
  [tf.LogicalAnd]: 'aten::logical_and',
  [tf.LogicalOr]: 'aten::logical_or',
};

export function registerBinary(): void {
  for (const [name, operator] of Object.entries(ARITHMETIC)) {
    register<AB, object>(name, ({ inputs: { a, b }, backend, torch }) =>
      backend.output(torch.run(operator, backend.tensor(a), backend.tensor(b)), a.dtype),
    );
  }
  for (const [name, operator] of Object.entries(COMPARISONS)) {
    register<AB, object>(name, ({ inputs: { a, b }, backend, torch }) =>
      backend.output(torch.run(operator, backend.tensor(a), backend.tensor(b)), 'bool'),
    );
  }

  // In bfloat16 where either side is: sums meet where gradients of activations join, and those are held so.
  register<AB, object>(tf.Add, ({ inputs: { a, b }, backend, torch }) => {
    const [left, right] = [backend.held(a), backend.held(b)];
    const mixed = left.type !== right.type && (left.type === ScalarType.bfloat16 || right.type === ScalarType.bfloat16);
    const [x, y] = mixed ? [left, right].map((ref) => backend.cast(ref, ScalarType.bfloat16)) : [left, right];
    return backend.output(torch.run('aten::add.Tensor', x, y), a.dtype);
  });
  register<TensorInfo[], object>(tf.AddN, ({ inputs, backend, torch }) => {
    const [first, ...others] = inputs as [TensorInfo, ...TensorInfo[]];
    const sum = others.reduce((total, info) => torch.run('aten::add.Tensor', total, backend.tensor(info)), backend.tensor(first));
    return others.length === 0 ? backend.view(sum, first) : backend.output(sum, first.dtype);
  });
  register<AB, object>(tf.RealDiv, ({ inputs: { a, b }, backend, torch }) =>
    backend.output(torch.run('aten::div.Tensor', backend.tensor(a), backend.tensor(b)), 'float32'),
  );
  register<AB, object>(tf.FloorDiv, ({ inputs: { a, b }, backend, torch }) =>
    backend.output(torch.run('aten::div.Tensor_mode', backend.tensor(a), backend.tensor(b), 'floor'), 'int32'),
  );
  register<AB, object>(tf.SquaredDifference, ({ inputs: { a, b }, backend, torch }) =>
    backend.output(torch.run('aten::square', torch.run('aten::sub.Tensor', backend.tensor(a), backend.tensor(b))), a.dtype),
  );
  register<{ x: TensorInfo; alpha: TensorInfo }, object>(tf.Prelu, ({ inputs: { x, alpha }, backend, torch }) => {
    const value = backend.cast(backend.held(x), ScalarType.float32);
    const below = torch.run('aten::mul.Tensor', value, backend.tensor(alpha));
    return backend.output(torch.run('aten::where.self', torch.run('aten::ge.Scalar', value, 0), value, below), 'float32');
  });
  register<{ condition: TensorInfo; t: TensorInfo; e: TensorInfo }, object>(
    tf.Select,
    ({ inputs: { condition, t, e }, backend, torch }) => {
      const where = backend.cast(backend.held(condition), ScalarType.bool);
      const [yes, no] = [backend.tensor(t), backend.tensor(e)];
      // A vector of conditions chooses rows.
      const rows = torch.run('aten::reshape', where, [...where.shape, ...yes.shape.slice(where.shape.length).map(() => 1)]);
      return backend.output(torch.run('aten::where.self', rows, yes, no), t.dtype);
    },
  );
}
