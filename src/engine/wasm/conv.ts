/**
 * Conv2D and its two gradients, NHWC, over the kernels of assembly/gemm.ts and assembly/outer.ts.
 *
 * The forward pass and the input gradient are one kernel. For each output position along an axis a table says
 * where its input run begins, how long it is and at which packed filter tap it starts; padding makes runs shorter. The input gradient
 * reads dy with the filter reversed and its channels swapped; with a stride, only every stride-th tap meets a given position, so
 * taps are packed class by class (tap modulo stride) and each position's taps are again one run.
 *
 * Filters are packed on each call: it costs under one part in a hundred of the convolution and can never be stale.
 */
import { Conv2D, Conv2DBackpropFilter, Conv2DBackpropInput, backend_util } from '@tensorflow/tfjs-core';
import type { Conv2DAttrs, Conv2DBackpropFilterAttrs, Conv2DBackpropInputAttrs, TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register, runReplaced } from './register.js';

/** Floats of a packed panel's row. */
const PANEL = 8;
const FLOAT = 4;
/** Bytes of one 4x8 output tile, where the kernel prepares the last channels. */
const EDGE = 128;

type Shape4D = [number, number, number, number];
type ConvInfo = ReturnType<typeof backend_util.computeConv2DInfo>;
type Geometry = Pick<Conv2DAttrs, 'strides' | 'pad' | 'dataFormat' | 'dimRoundingMode'>;

function convInfo(x: readonly number[], filter: readonly number[], attrs: Geometry, dilations: Conv2DAttrs['dilations']): ConvInfo {
  if (attrs.dataFormat === 'NCHW') throw new Error('dataFormat "NCHW" is not supported: expected "NHWC"; transpose the input');
  return backend_util.computeConv2DInfo(
    [...x] as Shape4D,
    [...filter] as Shape4D,
    attrs.strides,
    dilations,
    attrs.pad,
    attrs.dimRoundingMode,
    false,
    'channelsLast',
  );
}

/** (first input position, run length, first packed tap) for each output position of a forward axis. */
function forwardAxis(input: number, output: number, taps: number, stride: number, pad: number): number[] {
  return Array.from({ length: output }, (_, o) => {
    const first = o * stride - pad;
    const start = Math.max(0, first);
    const end = Math.min(input, first + taps);
    return [start, Math.max(0, end - start), start - first];
  }).flat();
}

/** The same for an axis of the input gradient: `output` is the length of x, `input` that of dy. */
function gradientAxis(input: number, output: number, taps: number, stride: number, pad: number): number[] {
  const firstPacked = new Map(
    gradientTaps(taps, stride)
      .map((tap, packed) => [tap % stride, packed] as const)
      .toReversed(),
  );
  return Array.from({ length: output }, (_, i) => {
    const tapClass = (i + pad) % stride;
    const first = Math.floor((i + pad) / stride) - Math.ceil((taps - tapClass) / stride) + 1;
    const start = Math.max(0, first);
    const end = Math.min(input, Math.floor((i + pad) / stride) + 1);
    return end > start ? [start, end - start, (firstPacked.get(tapClass) ?? 0) + start - first] : [0, 0, 0];
  }).flat();
}

/** The order in which the input gradient packs the taps of an axis: classes modulo the stride, each from the last tap down. */
function gradientTaps(taps: number, stride: number): number[] {
  return Array.from({ length: taps }, (_, tap) => tap).toSorted((a, b) => (a % stride) - (b % stride) || b - a);
}

export function registerConvolutions(heap: Heap): void {
  const { kernels } = heap;

  /** Lays packed filter and tables out in scratch, packs with `pack`, and runs the kernel. */
  function convolve(
    x: TensorInfo,
    outShape: readonly number[],
    filterHeight: number,
    filterWidth: number,
    rows: number[],
    columns: number[],
    pack: (packed: number) => void,
  ): TensorInfo {
    const [batch, height, width, channels] = x.shape as Shape4D;
    const [, outHeight, outWidth, outChannels] = outShape as Shape4D;
    const packedBytes = filterHeight * filterWidth * channels * Math.ceil(outChannels / PANEL) * PANEL * FLOAT;
    const tables = Int32Array.from([...rows, ...columns]);
    const out = heap.output(outShape);
    const packed = heap.scratch(packedBytes + tables.byteLength + EDGE);
    const rowTable = packed + packedBytes;
    heap.write(rowTable, tables);
    pack(packed);
    kernels.convolve(
      heap.address(x),
      batch,
      height,
      width,
      channels,
      packed,
      filterHeight,
      filterWidth,
      rowTable,
      outHeight,
      rowTable + rows.length * 4,
      outWidth,
      outChannels,
      heap.address(out),
      rowTable + tables.byteLength,
    );
    return out;
  }

  register<{ x: TensorInfo; filter: TensorInfo }, Conv2DAttrs>(Conv2D, ({ inputs: { x, filter }, attrs }) => {
    const info = convInfo(x.shape, filter.shape, attrs, attrs.dilations);
    if (info.dilationHeight !== 1 || info.dilationWidth !== 1) return runReplaced(Conv2D, heap.backend, { x, filter }, attrs);
    const { filterHeight, filterWidth, inChannels, outChannels, padInfo } = info;
    const depth = filterHeight * filterWidth * inChannels;
    return convolve(
      x,
      info.outShape,
      filterHeight,
      filterWidth,
      forwardAxis(info.inHeight, info.outHeight, filterHeight, info.strideHeight, padInfo.top),
      forwardAxis(info.inWidth, info.outWidth, filterWidth, info.strideWidth, padInfo.left),
      (packed) => kernels.packPanels(heap.address(filter), depth, outChannels, outChannels * FLOAT, FLOAT, packed, depth),
    );
  });

  register<{ dy: TensorInfo; filter: TensorInfo }, Conv2DBackpropInputAttrs>(Conv2DBackpropInput, ({ inputs: { dy, filter }, attrs }) => {
    const info = convInfo(attrs.inputShape, filter.shape, attrs, 1);
    const { filterHeight, filterWidth, inChannels, outChannels, padInfo, strideHeight, strideWidth } = info;
    const rowTaps = gradientTaps(filterHeight, strideHeight);
    const columnTaps = gradientTaps(filterWidth, strideWidth);
    return convolve(
      dy,
      info.inShape,
      filterHeight,
      filterWidth,
      gradientAxis(info.outHeight, info.inHeight, filterHeight, strideHeight, padInfo.top),
      gradientAxis(info.outWidth, info.inWidth, filterWidth, strideWidth, padInfo.left),
      (packed) => {
        const source = heap.address(filter);
        const panelDepth = filterHeight * filterWidth * outChannels;
        let target = packed;
        for (const r of rowTaps) {
          for (const s of columnTaps) {
            const tap = source + (r * filterWidth + s) * inChannels * outChannels * FLOAT;
            kernels.packPanels(tap, outChannels, inChannels, FLOAT, outChannels * FLOAT, target, panelDepth);
            target += outChannels * PANEL * FLOAT;
          }
        }
      },
    );
  });

  register<{ x: TensorInfo; dy: TensorInfo }, Conv2DBackpropFilterAttrs>(Conv2DBackpropFilter, ({ inputs: { x, dy }, attrs }) => {
    const info = convInfo(x.shape, attrs.filterShape, attrs, 1);
    const out = heap.output(attrs.filterShape);
    kernels.filterGradient(
      heap.address(x),
      info.batchSize,
      info.inHeight,
      info.inWidth,
      info.inChannels,
      heap.address(dy),
      info.outHeight,
      info.outWidth,
      info.outChannels,
      info.filterHeight,
      info.filterWidth,
      info.strideHeight,
      info.strideWidth,
      info.padInfo.top,
      info.padInfo.left,
      heap.address(out),
    );
    return out;
  });
}
