/** Functions of one tensor, element by element. */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ScalarType } from '../addon.js';
import { register } from '../register.js';
import type { Call } from '../register.js';
import type { Ref } from '../torch.js';

type X = { readonly x: TensorInfo };
type F<Attributes = object> = (call: Call<X, Attributes>, x: Ref) => Ref;

/** Same dtype in and out. */
const SAME: Readonly<Record<string, string>> = {
  [tf.Abs]: 'aten::abs',
  [tf.Neg]: 'aten::neg',
  [tf.Square]: 'aten::square',
  [tf.Sign]: 'aten::sign',
  [tf.Ceil]: 'aten::ceil',
  [tf.Floor]: 'aten::floor',
  [tf.Round]: 'aten::round',
  [tf.Relu]: 'aten::relu',
  [tf.LogicalNot]: 'aten::logical_not',
};

/** float32 out, whatever comes in. */
const FLOAT: Readonly<Record<string, string>> = {
  [tf.Acos]: 'aten::acos',
  [tf.Acosh]: 'aten::acosh',
  [tf.Asin]: 'aten::asin',
  [tf.Asinh]: 'aten::asinh',
  [tf.Atan]: 'aten::atan',
  [tf.Atanh]: 'aten::atanh',
  [tf.Cos]: 'aten::cos',
  [tf.Cosh]: 'aten::cosh',
  [tf.Sin]: 'aten::sin',
  [tf.Sinh]: 'aten::sinh',
  [tf.Tan]: 'aten::tan',
  [tf.Tanh]: 'aten::tanh',
  [tf.Exp]: 'aten::exp',
  [tf.Expm1]: 'aten::expm1',
  [tf.Log]: 'aten::log',
  [tf.Log1p]: 'aten::log1p',
  [tf.Erf]: 'aten::erf',
  [tf.Sqrt]: 'aten::sqrt',
  [tf.Rsqrt]: 'aten::rsqrt',
  [tf.Reciprocal]: 'aten::reciprocal',
  [tf.Sigmoid]: 'aten::sigmoid',
  [tf.Softplus]: 'aten::softplus',
  [tf.Selu]: 'aten::selu',
};

const BOOLEAN: Readonly<Record<string, string>> = {
  [tf.IsNan]: 'aten::isnan',
  [tf.IsInf]: 'aten::isinf',
  [tf.IsFinite]: 'aten::isfinite',
};

export function registerUnary(): void {
  for (const [name, operator] of Object.entries(SAME)) {
    register<X, object>(name, ({ inputs: { x }, backend, torch }) => backend.output(torch.run(operator, backend.held(x)), x.dtype));
  }
  for (const [name, operator] of Object.entries(FLOAT)) {
    register<X, object>(name, ({ inputs: { x }, backend, torch }) => {
      const value = backend.cast(backend.held(x), ScalarType.float32);
      return backend.output(torch.run(operator, value), 'float32');
    });
  }
  for (const [name, operator] of Object.entries(BOOLEAN)) {
    register<X, object>(name, ({ inputs: { x }, backend, torch }) => backend.output(torch.run(operator, backend.tensor(x)), 'bool'));
  }

  const float = <Attributes>(name: string, f: F<Attributes>): void =>
    register<X, Attributes>(name, (call) => call.backend.output(f(call, call.backend.tensor(call.inputs.x)), call.inputs.x.dtype));
  register<X, tf.LeakyReluAttrs>(tf.LeakyRelu, ({ inputs: { x }, attrs: { alpha }, backend, torch }) =>
    backend.output(torch.run('aten::leaky_relu', backend.cast(backend.held(x), ScalarType.float32), alpha), 'float32'),
  );
  float(tf.Relu6, ({ torch }, x) => torch.run('aten::clamp', x, 0, 6));
  float(tf.Elu, ({ torch }, x) => torch.run('aten::elu', x));
  float<tf.ClipByValueAttrs>(tf.ClipByValue, ({ attrs, torch }, x) => torch.run('aten::clamp', x, attrs.clipValueMin, attrs.clipValueMax));
  float<tf.StepAttrs>(tf.Step, ({ attrs: { alpha }, torch, backend }, x) => {
    const positive = torch.run('aten::gt.Scalar', x, 0);
    const one = torch.run('aten::ones_like', x);
    const low = torch.run('aten::full_like', x, alpha);
    const step = torch.run('aten::where.self', positive, one, low);
    // NaN stays NaN.
    return backend.cast(torch.run('aten::where.self', torch.run('aten::isnan', x), x, step), x.type);
  });

  register<{ dy: TensorInfo; y: TensorInfo }, object>(tf.EluGrad, ({ inputs: { dy, y }, backend, torch }) => {
    const [gradient, value] = [backend.tensor(dy), backend.tensor(y)];
    const below = torch.run('aten::mul.Tensor', gradient, torch.run('aten::add.Scalar', value, 1));
    return backend.output(torch.run('aten::where.self', torch.run('aten::ge.Scalar', value, 0), gradient, below), y.dtype);
  });
}
