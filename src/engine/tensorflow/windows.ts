/**
 * Convolutions and max pooling with a padding in numbers.
 *
 * tfjs-node takes 'same' and 'valid' alone in the gradients. TensorFlow has explicit paddings, but runs those without oneDNN; so a padding
 * in numbers becomes SAME where that is the same, and else the input is padded first.
 */
import { backend_util, Conv2D, Conv2DBackpropFilter, Conv2DBackpropInput, MaxPool, MaxPoolGrad } from '@tensorflow/tfjs-core';
import type { Conv2DAttrs, Conv2DBackpropFilterAttrs, Conv2DBackpropInputAttrs, MaxPoolAttrs, TensorInfo } from '@tensorflow/tfjs-core';
import type { Attributes, Eager, Ref } from './eager.js';
import { register } from './register.js';

type Shape4D = [number, number, number, number];
type ConvInfo = ReturnType<typeof backend_util.computeConv2DInfo>;

/** One of the two axes of a window that moves over an image. */
interface Axis {
  readonly size: number;
  readonly window: number;
  readonly stride: number;
  readonly out: number;
  readonly before: number;
}

interface Windows {
  readonly padding: 'SAME' | 'VALID';
  /** Rows and columns to put around the input first: top, bottom, left, right. Undefined for none. */
  readonly border?: readonly [number, number, number, number];
  readonly info: ConvInfo;
}

/** Padding after the input that the last window reaches into. */
function after({ size, window, stride, out, before }: Axis): number {
  return Math.max(0, (out - 1) * stride + window - size - before);
}

/** Whether TensorFlow's SAME puts the windows there too: as many as the size over the stride, half of the padding before. */
function isSame(axis: Axis): boolean {
  const { size, window, stride, out, before } = axis;
  const total = Math.max(0, (out - 1) * stride + window - size);
  return out === Math.ceil(size / stride) && before === Math.floor(total / 2);
}

function windows(info: ConvInfo): Windows {
  const rows: Axis = {
    size: info.inHeight,
    window: info.effectiveFilterHeight,
    stride: info.strideHeight,
    out: info.outHeight,
    before: info.padInfo.top,
  };
  const columns: Axis = {
    size: info.inWidth,
    window: info.effectiveFilterWidth,
    stride: info.strideWidth,
    out: info.outWidth,
    before: info.padInfo.left,
  };
  const border = [rows.before, after(rows), columns.before, after(columns)] as const;
  if (border.every((width) => width === 0)) return { padding: 'VALID', info };
  return isSame(rows) && isSame(columns) ? { padding: 'SAME', info } : { padding: 'VALID', border, info };
}

type ConvAttrs = Pick<Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'> & Partial<Pick<Conv2DAttrs, 'dilations'>>;

function convolution(x: readonly number[], filter: readonly number[], attrs: ConvAttrs): Windows {
  const { strides, pad, dataFormat, dilations = 1, dimRoundingMode } = attrs;
  if (dataFormat === 'NCHW') throw new Error('dataFormat "NCHW" is not supported: expected "NHWC"; transpose the input');
  const [a, b] = [[...x], [...filter]] as [Shape4D, Shape4D];
  return windows(backend_util.computeConv2DInfo(a, b, strides, dilations, pad, dimRoundingMode));
}

function convolutionAttributes(eager: Eager, { padding, info }: Windows): Attributes {
  return {
    type: eager.T,
    int: { strides: [1, info.strideHeight, info.strideWidth, 1], dilations: [1, info.dilationHeight, info.dilationWidth, 1] },
    string: { padding, data_format: 'NHWC' },
    bool: { use_cudnn_on_gpu: true },
  };
}

/** With zeros around it. */
function bordered(eager: Eager, x: Ref, { border }: Windows): Ref {
  return border === undefined ? x : eager.run('Pad', [x, widths(eager, border)], padTypes(eager));
}

/** With what is less than all else around it. */
function lowBordered(eager: Eager, x: Ref, { border }: Windows): Ref {
  return border === undefined ? x : eager.run('PadV2', [x, widths(eager, border), eager.floats(-Infinity)], padTypes(eager));
}

function widths(eager: Eager, border: NonNullable<Windows['border']>): Ref {
  return eager.integers([0, 0, ...border, 0, 0], [4, 2]);
}

function padTypes(eager: Eager): Attributes {
  return { type: { ...eager.T, Tpaddings: eager.binding.TF_INT32 } };
}

/** The shape of the input with its border. */
function outer({ border = [0, 0, 0, 0], info }: Windows): Shape4D {
  const [top, bottom, left, right] = border;
  return [info.batchSize, info.inHeight + top + bottom, info.inWidth + left + right, info.inChannels];
}

function withoutBorder(eager: Eager, x: Ref, { border, info }: Windows): Ref {
  if (border === undefined) return x;
  const [begin, size] = [eager.integers([0, border[0], border[2], 0]), eager.integers(info.inShape)];
  return eager.run('Slice', [x, begin, size], { type: { ...eager.T, Index: eager.binding.TF_INT32 } });
}

function pooling(x: readonly number[], { filterSize, strides, pad, dimRoundingMode }: MaxPoolAttrs): Windows {
  return windows(backend_util.computePool2DInfo([...x] as Shape4D, filterSize, strides, 1, pad, dimRoundingMode));
}

function poolingAttributes(eager: Eager, { padding, info }: Windows): Attributes {
  return {
    type: eager.T,
    int: { ksize: [1, info.filterHeight, info.filterWidth, 1], strides: [1, info.strideHeight, info.strideWidth, 1] },
    string: { padding, data_format: 'NHWC' },
  };
}

export function registerWindows(): void {
  register<{ x: TensorInfo; filter: TensorInfo }, Conv2DAttrs>(Conv2D, ({ inputs: { x, filter }, attrs, eager }) => {
    const geometry = convolution(x.shape, filter.shape, attrs);
    const input = bordered(eager, eager.of(x), geometry);
    return eager.give(eager.run('Conv2D', [input, eager.of(filter)], convolutionAttributes(eager, geometry)));
  });

  register<{ x: TensorInfo; dy: TensorInfo }, Conv2DBackpropFilterAttrs>(Conv2DBackpropFilter, ({ inputs: { x, dy }, attrs, eager }) => {
    const geometry = convolution(x.shape, attrs.filterShape, attrs);
    const inputs = [bordered(eager, eager.of(x), geometry), eager.integers(attrs.filterShape), eager.of(dy)];
    return eager.give(eager.run('Conv2DBackpropFilter', inputs, convolutionAttributes(eager, geometry)));
  });

  register<{ dy: TensorInfo; filter: TensorInfo }, Conv2DBackpropInputAttrs>(
    Conv2DBackpropInput,
    ({ inputs: { dy, filter }, attrs, eager }) => {
      const geometry = convolution(attrs.inputShape, filter.shape, attrs);
      const inputs = [eager.integers(outer(geometry)), eager.of(filter), eager.of(dy)];
      const dx = eager.run('Conv2DBackpropInput', inputs, convolutionAttributes(eager, geometry));
      return eager.give(withoutBorder(eager, dx, geometry));
    },
  );

  register<{ x: TensorInfo }, MaxPoolAttrs>(MaxPool, ({ inputs: { x }, attrs, eager }) => {
    const geometry = pooling(x.shape, attrs);
    const input = lowBordered(eager, eager.of(x), geometry);
    return eager.give(eager.run('MaxPool', [input], poolingAttributes(eager, geometry)));
  });

  register<{ dy: TensorInfo; input: TensorInfo; output: TensorInfo }, MaxPoolAttrs>(
    MaxPoolGrad,
    ({ inputs: { dy, input, output }, attrs, eager }) => {
      const geometry = pooling(input.shape, attrs);
      const x = lowBordered(eager, eager.of(input), geometry);
      const dx = eager.run('MaxPoolGrad', [x, eager.of(output), eager.of(dy)], poolingAttributes(eager, geometry));
      return eager.give(withoutBorder(eager, dx, geometry));
    },
  );
}
