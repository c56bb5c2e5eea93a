/** Convolutions, pooling, matrix products and eval-mode batch norm, with TensorFlow.js's fused variants. */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ScalarType } from '../addon.js';
import { register } from '../register.js';
import type { Call } from '../register.js';
import type { Ref } from '../torch.js';

type Shape4D = [number, number, number, number];
type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;
type Geometry = Pick<tf.Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'> & Partial<Pick<tf.Conv2DAttrs, 'dilations'>>;

function convInfo(x: readonly number[], filter: readonly number[], attrs: Geometry, depthwise = false): ConvInfo {
  if (attrs.dataFormat === 'NCHW') throw new Error('dataFormat "NCHW" is not supported: expected "NHWC"; transpose the input');
  const { strides, pad, dimRoundingMode } = attrs;
  // Depthwise convolutions take null for 1.
  const dilations = attrs.dilations ?? 1;
  const [a, b] = [[...x], [...filter]] as [Shape4D, Shape4D];
  return tf.backend_util.computeConv2DInfo(a, b, strides, dilations, pad, dimRoundingMode, depthwise, 'channelsLast');
}

/** Stride, padding (top, bottom, left, right), dilation: as native/torch/src/conv.cc takes them. */
function geometry(info: ConvInfo): number[][] {
  const { top, bottom, left, right } = info.padInfo;
  // An output size that was rounded up (dimRoundingMode) has windows past the padding.
  const low = (info.outHeight - 1) * info.strideHeight + info.effectiveFilterHeight - info.inHeight - top;
  const far = (info.outWidth - 1) * info.strideWidth + info.effectiveFilterWidth - info.inWidth - left;
  return [
    [info.strideHeight, info.strideWidth],
    [top, Math.max(bottom, low), left, Math.max(right, far)],
    [info.dilationHeight, info.dilationWidth],
  ];
}

interface Activation {
  readonly activation?: string;
  readonly leakyreluAlpha?: number;
}

/** act(x + bias), of the fused kernels. */
function finish(
  { backend, torch, attrs, inputs }: Call<{ bias?: TensorInfo; preluActivationWeights?: TensorInfo }, Activation>,
  x: Ref,
): Ref {
  const sum = inputs.bias === undefined ? x : torch.run('aten::add.Tensor', x, backend.tensor(inputs.bias));
  switch (attrs.activation ?? 'linear') {
    case 'linear':
      return sum;
    case 'relu':
      return torch.run('aten::relu', sum);
    case 'relu6':
      return torch.run('aten::clamp', sum, 0, 6);
    case 'elu':
      return torch.run('aten::elu', sum);
    case 'sigmoid':
      return torch.run('aten::sigmoid', sum);
    case 'leakyrelu':
      return torch.run('aten::leaky_relu', sum, attrs.leakyreluAlpha ?? 0.2);
    case 'prelu': {
      if (inputs.preluActivationWeights === undefined) throw new Error('activation prelu: its weights are missing');
      const below = torch.run('aten::mul.Tensor', sum, backend.tensor(inputs.preluActivationWeights));
      return torch.run('aten::where.self', torch.run('aten::ge.Scalar', sum, 0), sum, below);
    }
    default:
      throw new Error(`activation "${attrs.activation}" is not supported: expected linear, relu, relu6, elu, sigmoid, leakyrelu or prelu`);
  }
}

type XFilter = { readonly x: TensorInfo; readonly filter: TensorInfo };
type Extras = { readonly bias?: TensorInfo; readonly preluActivationWeights?: TensorInfo };

function convolve({ inputs, attrs, backend, torch }: Call<XFilter, Geometry>, depthwise: boolean): Ref {
  const info = convInfo(inputs.x.shape, inputs.filter.shape, attrs, depthwise);
  const filter = depthwise ? backend.operand(inputs.filter) : backend.filter(inputs.filter);
  return torch.run('detco::conv2d', backend.operand(inputs.x), filter, ...geometry(info), depthwise);
}

export function registerNetwork(): void {
  for (const [name, fused, depthwise] of [
    [tf.Conv2D, tf.FusedConv2D, false],
    [tf.DepthwiseConv2dNative, tf.FusedDepthwiseConv2D, true],
  ] as const) {
    register<XFilter, Geometry>(name, (call) => call.backend.output(convolve(call, depthwise), 'float32'));
    register<XFilter & Extras, Geometry & Activation>(fused, (call) =>
      call.backend.output(finish(call, convolve(call, depthwise)), 'float32'),
    );
  }
  for (const [name, depthwise] of [
    [tf.Conv2DBackpropInput, false],
    [tf.DepthwiseConv2dNativeBackpropInput, true],
  ] as const) {
    register<{ dy: TensorInfo; filter: TensorInfo }, Geometry & { inputShape: number[] }>(name, ({ inputs, attrs, backend, torch }) => {
      const info = convInfo(attrs.inputShape, inputs.filter.shape, attrs, depthwise);
      const filter = depthwise ? backend.operand(inputs.filter) : backend.filter(inputs.filter);
      // conv2dTranspose may give more than a convolution of its output would: only that much is read.
      let dy = backend.operand(inputs.dy);
      if ((dy.shape[1] ?? 0) > info.outHeight) dy = torch.run('aten::narrow', dy, 1, 0, info.outHeight);
      if ((dy.shape[2] ?? 0) > info.outWidth) dy = torch.run('aten::narrow', dy, 2, 0, info.outWidth);
      return backend.output(torch.run('detco::conv2d_input_grad', dy, filter, info.inShape, ...geometry(info), depthwise), 'float32');
    });
  }
  for (const [name, depthwise] of [
    [tf.Conv2DBackpropFilter, false],
    [tf.DepthwiseConv2dNativeBackpropFilter, true],
  ] as const) {
    register<{ x: TensorInfo; dy: TensorInfo }, Geometry & { filterShape: number[] }>(name, ({ inputs, attrs, backend, torch }) => {
      const info = convInfo(inputs.x.shape, attrs.filterShape, attrs, depthwise);
      // oneDNN 2.6's gradient in bfloat16 reads memory that nobody wrote where an image is narrower than the stride: float32 there.
      const narrow = info.inWidth < info.strideWidth;
      const [x, dy] = [inputs.x, inputs.dy].map((input) => (narrow ? backend.tensor(input) : backend.operand(input))) as [Ref, Ref];
      const gradient = torch.run('detco::conv2d_filter_grad', x, dy, attrs.filterShape, ...geometry(info), depthwise);
      // Gradients of parameters are float32, as the parameters are.
      return backend.output(backend.cast(gradient, ScalarType.float32), 'float32');
    });
  }

  type Pooling = Pick<tf.MaxPoolAttrs, 'filterSize' | 'strides' | 'pad' | 'dimRoundingMode'>;
  const pooling = (x: TensorInfo, { filterSize, strides, pad, dimRoundingMode }: Pooling): number[][] => {
    const info = tf.backend_util.computePool2DInfo([...x.shape] as Shape4D, filterSize, strides, 1, pad, dimRoundingMode);
    return [[info.effectiveFilterHeight, info.effectiveFilterWidth], ...geometry(info)];
  };
  const pool = ({ inputs: { x }, attrs, backend, torch }: Call<{ x: TensorInfo }, Pooling>): [Ref, Ref] =>
    torch.runAll('detco::max_pool', backend.held(x), ...pooling(x, attrs)) as [Ref, Ref];
  register<{ x: TensorInfo }, Pooling>(tf.MaxPool, (call) => {
    const [pooled, indices] = pool(call);
    const result = call.backend.output(pooled, call.inputs.x.dtype);
    call.backend.keepIndices(result, indices);
    return result;
  });
  register<{ dy: TensorInfo; input: TensorInfo; output: TensorInfo }, Pooling>(tf.MaxPoolGrad, (call) => {
    const { inputs, attrs, backend, torch } = call;
    const x = backend.held(inputs.input);
    const indices = backend.indices(inputs.output) ?? pool({ ...call, inputs: { x: inputs.input } })[1];
    const dy = backend.cast(backend.held(inputs.dy), x.type);
    return backend.output(torch.run('detco::max_pool_grad', dy, x, indices, ...pooling(inputs.input, attrs)), inputs.input.dtype);
  });

  type AB = { readonly a: TensorInfo; readonly b: TensorInfo };
  const multiply = ({ inputs: { a, b }, attrs, backend, torch }: Call<AB, tf.BatchMatMulAttrs>): Ref => {
    if (a.shape.length < 2 || b.shape.length < 2)
      throw new Error(`matMul of shapes [${a.shape}] and [${b.shape}]: expected two axes or more; reshape the vector`);
    const product = (left: Ref, right: Ref): Ref => torch.run('detco::matmul', left, right, attrs.transposeA, attrs.transposeB);
    if (a.dtype === 'float32' || backend.device === 'cpu') return product(backend.operand(a), backend.operand(b));
    // cuBLAS has no products of integers; float64 holds those of int32 up to 2^53.
    return product(backend.cast(backend.held(a), ScalarType.float64), backend.cast(backend.held(b), ScalarType.float64));
  };
  register<AB, tf.BatchMatMulAttrs>(tf.BatchMatMul, (call) => call.backend.output(multiply(call), call.inputs.a.dtype));
  register<AB & Extras, tf._FusedMatMulAttrs>(tf._FusedMatMul, (call) =>
    call.backend.output(finish(call as Call<Extras, Activation>, multiply(call)), call.inputs.a.dtype),
  );

  register<{ x: TensorInfo; mean: TensorInfo; variance: TensorInfo; scale?: TensorInfo; offset?: TensorInfo }, tf.FusedBatchNormAttrs>(
    tf.FusedBatchNorm,
    ({ inputs: { x, mean, variance, scale, offset }, attrs: { varianceEpsilon }, backend, torch }) => {
      let factor = torch.run('aten::rsqrt', torch.run('aten::add.Scalar', backend.tensor(variance), varianceEpsilon));
      if (scale) factor = torch.run('aten::mul.Tensor', factor, backend.tensor(scale));
      let shift = torch.run('aten::neg', torch.run('aten::mul.Tensor', backend.tensor(mean), factor));
      if (offset) shift = torch.run('aten::add.Tensor', shift, backend.tensor(offset));
      return backend.output(torch.run('aten::addcmul', shift, backend.tensor(x), factor), 'float32');
    },
  );
}
