/** What moves elements and computes nothing. Where a view will do nothing is copied. */
import * as tf from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ScalarType } from '../addon.js';
import { scalarTypeOf } from '../backend.js';
import type { TorchBackend } from '../backend.js';
import { register } from '../register.js';
import type { Call } from '../register.js';
import type { Ref } from '../torch.js';

type X = { readonly x: TensorInfo };

/** The same values under another shape: what the engine does with strings, which are no tensors of LibTorch. */
function relabel({ dataId, dtype }: TensorInfo, shape: number[], backend: TorchBackend): TensorInfo {
  backend.incRef(dataId);
  return { dataId, shape, dtype };
}

/** A kernel whose result looks at the memory of its input. */
function view<Attributes>(name: string, f: (call: Call<X, Attributes>, x: Ref) => Ref): void {
  register<X, Attributes>(name, (call) => call.backend.view(f(call, call.backend.held(call.inputs.x)), call.inputs.x));
}

/** Tensors of one scalar type, to be joined. */
function joinable({ inputs, backend }: Pick<Call<TensorInfo[], object>, 'inputs' | 'backend'>): Ref[] {
  const held = inputs.map((info) => backend.held(info));
  return held.every(({ type }) => type === held[0]?.type) ? held : inputs.map((info) => backend.tensor(info));
}

export function registerShapes(): void {
  register<X, object>(tf.Identity, ({ inputs: { x }, backend }) =>
    x.dtype === 'string' ? relabel(x, x.shape, backend) : backend.view(backend.held(x), x),
  );
  register<X, tf.ReshapeAttrs>(tf.Reshape, ({ inputs: { x }, attrs: { shape }, backend, torch }) => {
    const size = tf.util.sizeFromShape(x.shape);
    const sizes = tf.util.inferFromImplicitShape(shape, size);
    if (tf.util.sizeFromShape(sizes) !== size) {
      throw new Error(`reshape of [${x.shape}], ${size} elements, to [${shape}]: expected as many elements`);
    }
    if (x.dtype === 'string') return relabel(x, sizes, backend);
    return backend.view(torch.run('aten::reshape', backend.held(x), sizes), x);
  });
  register<{ input: TensorInfo }, tf.ExpandDimsAttrs>(tf.ExpandDims, ({ inputs: { input }, attrs: { dim }, backend, torch }) => {
    const { shape } = input;
    const axis = dim < 0 ? dim + shape.length + 1 : dim;
    if (input.dtype === 'string') return relabel(input, shape.toSpliced(axis, 0, 1), backend);
    return backend.view(torch.run('aten::unsqueeze', backend.held(input), dim), input);
  });
  view<tf.TransposeAttrs>(tf.Transpose, ({ attrs: { perm }, torch }, x) => torch.run('aten::permute', x, perm));
  view<tf.SliceAttrs>(tf.Slice, ({ inputs, attrs, torch }, x) => {
    const [begin, size] = tf.slice_util.parseSliceParams(inputs.x as tf.Tensor, attrs.begin, attrs.size) as [number[], number[]];
    tf.slice_util.assertParamsValid(inputs.x as tf.Tensor, begin, size);
    return size.reduce((value, length, axis) => torch.run('aten::narrow', value, axis, begin[axis], length), x);
  });
  register<X, tf.CastAttrs>(tf.Cast, ({ inputs: { x }, attrs: { dtype }, backend }) => {
    if (dtype === x.dtype) return backend.view(backend.held(x), x);
    return backend.output(backend.cast(backend.tensor(x), scalarTypeOf(dtype)), dtype);
  });

  register<X, tf.TileAttrs>(tf.Tile, ({ inputs: { x }, attrs: { reps }, backend, torch }) => {
    const value = backend.held(x);
    const stretches = reps.every((times, axis) => times === 1 || x.shape[axis] === 1);
    if (!stretches) return backend.output(torch.run('aten::repeat', value, reps), x.dtype);
    const shape = x.shape.map((length, axis) => length * (reps[axis] ?? 1));
    return backend.stretched(torch.run('aten::expand', value, shape), x);
  });
  register<X, tf.PadV2Attrs>(tf.PadV2, ({ inputs: { x }, attrs: { paddings, constantValue }, backend, torch }) =>
    backend.output(torch.run('aten::constant_pad_nd', backend.held(x), paddings.toReversed().flat(), constantValue), x.dtype),
  );
  register<X, tf.ReverseAttrs>(tf.Reverse, ({ inputs: { x }, attrs: { dims }, backend, torch }) =>
    backend.output(torch.run('aten::flip', backend.held(x), tf.util.parseAxisParam(dims, x.shape)), x.dtype),
  );

  register<TensorInfo[], tf.ConcatAttrs>(tf.Concat, (call) => {
    const [axis = 0] = tf.util.parseAxisParam(call.attrs.axis, call.inputs[0]?.shape ?? []);
    tf.backend_util.assertParamsConsistent(
      call.inputs.map(({ shape }) => shape),
      axis,
    );
    return call.backend.output(call.torch.run('aten::cat', joinable(call), axis), call.inputs[0]?.dtype ?? 'float32');
  });
  register<TensorInfo[], tf.PackAttrs>(tf.Pack, (call) => {
    const dtypes = [...new Set(call.inputs.map(({ dtype }) => dtype))];
    if (dtypes.length > 1) throw new Error(`stack of tensors of dtypes ${dtypes.join(', ')}: expected one dtype; cast them`);
    return call.backend.output(call.torch.run('aten::stack', joinable(call), call.attrs.axis), dtypes[0] ?? 'float32');
  });
  register<{ value: TensorInfo }, tf.UnpackAttrs>(tf.Unpack, ({ inputs: { value }, attrs, backend, torch }) => {
    const [axis = 0] = tf.util.parseAxisParam(attrs.axis, value.shape);
    const x = backend.held(value);
    return Array.from({ length: value.shape[axis] ?? 0 }, (_, i) => backend.view(torch.run('aten::select.int', x, axis, i), value));
  });
  register<X, tf.SplitVAttrs>(tf.SplitV, ({ inputs: { x }, attrs, backend, torch }) => {
    const [axis = 0] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const value = backend.held(x);
    let start = 0;
    return tf.backend_util.prepareSplitSize(x as tf.Tensor, attrs.numOrSizeSplits, axis).map((length) => {
      const part = torch.run('aten::narrow', value, axis, start, length);
      start += length;
      return backend.view(part, x);
    });
  });

  register<{ x: TensorInfo; indices: TensorInfo }, tf.GatherV2Attrs>(tf.GatherV2, gather);
  register<{ x: TensorInfo; segmentIds: TensorInfo }, tf.UnsortedSegmentSumAttrs>(
    tf.UnsortedSegmentSum,
    ({ inputs: { x, segmentIds }, attrs: { numSegments }, backend, torch }) => {
      const rest = x.shape.slice(segmentIds.shape.length);
      const rows = torch.run('aten::reshape', backend.tensor(x), [tf.util.sizeFromShape(segmentIds.shape), ...rest]);
      // Rows of no segment, whose ids are negative or too large, are summed in a segment past the last: -1 is that, modulo n + 1.
      const zeros = torch.run('aten::new_zeros', rows, [numSegments + 1, ...rest]);
      const bounded = torch.run('aten::clamp', torch.run('aten::reshape', backend.held(segmentIds), [-1]), -1, numSegments);
      const ids = torch.run('aten::remainder.Scalar', bounded, numSegments + 1);
      return backend.output(torch.run('aten::narrow', torch.run('aten::index_add', zeros, 0, ids, rows), 0, 0, numSegments), x.dtype);
    },
  );
  register<{ indices: TensorInfo }, tf.OneHotAttrs>(tf.OneHot, ({ inputs: { indices }, attrs, backend, torch }) => {
    const classes = torch.run('aten::arange', attrs.depth, ScalarType.int32, undefined, backend.device);
    const hot = torch.run('aten::eq.Tensor', torch.run('aten::unsqueeze', backend.held(indices), -1), classes);
    const float = backend.cast(hot, ScalarType.float32);
    const scaled = torch.run('aten::mul.Scalar', float, attrs.onValue - attrs.offValue);
    return backend.output(torch.run('aten::add.Scalar', scaled, attrs.offValue), attrs.dtype);
  });

  register<object, tf.FillAttrs>(tf.Fill, ({ attrs: { shape, value, dtype }, backend, torch }) => {
    if (typeof value === 'string') {
      const strings = Array.from({ length: tf.util.sizeFromShape(shape) }, () => tf.util.encodeString(value));
      return { dataId: backend.write(strings, shape, 'string'), shape, dtype: 'string' };
    }
    const type = dtype ?? tf.util.inferDtype(value);
    return backend.output(torch.run('aten::full', shape, value, scalarTypeOf(type), undefined, backend.device), type);
  });
  for (const [name, operator] of [
    [tf.ZerosLike, 'aten::zeros_like'],
    [tf.OnesLike, 'aten::ones_like'],
  ] as const) {
    register<X, object>(name, ({ inputs: { x }, backend, torch }) => backend.output(torch.run(operator, backend.held(x)), x.dtype));
  }
  register<object, tf.RangeAttrs>(tf.Range, ({ attrs: { start, stop, step, dtype }, backend, torch }) => {
    // TensorFlow.js gives nothing where the step leads away; LibTorch refuses.
    const away = start === stop || (start < stop && step < 0) || (stop < start && step > 1);
    const towards = start < stop ? Math.abs(step) : -Math.abs(step);
    const [end, by] = away ? [start, 1] : [stop, towards];
    return backend.output(torch.run('aten::arange.start_step', start, end, by, scalarTypeOf(dtype), undefined, backend.device), dtype);
  });
  register<object, tf.LinSpaceAttrs>(tf.LinSpace, ({ attrs: { start, stop, num }, backend, torch }) =>
    backend.output(torch.run('aten::linspace', start, stop, num, ScalarType.float32, undefined, backend.device), 'float32'),
  );
}

/** x [batch..., outer..., n, inner...] at indices [batch..., m...] along `axis`. */
function gather({ inputs, attrs, backend, torch }: Call<{ x: TensorInfo; indices: TensorInfo }, tf.GatherV2Attrs>): TensorInfo {
  const { x, indices } = inputs;
  const [axis = 0] = tf.util.parseAxisParam(attrs.axis, x.shape);
  const info = tf.backend_util.segment_util.collectGatherOpShapeInfo(x as tf.Tensor, indices as tf.Tensor, axis, attrs.batchDims);
  const { batchSize, outerSize, dimSize, sliceSize } = info;
  // On a GPU a bad index would be an assertion on the device, after which nothing runs there: the nearest row is taken, as TensorFlow.js
  // leaves to its GPU backends.
  const index = backend.device === 'cpu' ? backend.held(indices) : torch.run('aten::clamp', backend.held(indices), 0, dimSize - 1);
  const value = torch.run('aten::reshape', backend.held(x), [batchSize, outerSize, dimSize, sliceSize]);
  return backend.output(torch.run('aten::reshape', pick(), info.outputShape), x.dtype);

  function pick(): Ref {
    try {
      return batchSize === 1
        ? torch.run('aten::index_select', value, 2, torch.run('aten::reshape', index, [-1]))
        : torch.run('aten::gather', value, 2, spread(index));
    } catch (cause) {
      const bad = (backend.readSync(indices.dataId) as Int32Array).find((i) => i < 0 || i >= dimSize);
      if (bad === undefined) throw cause;
      throw new RangeError(`GatherV2: the index value ${bad} is not in [0, ${dimSize - 1}]`, { cause });
    }
  }

  /** [batch, m] -> [batch, outer, m, slice], as LibTorch's gather wants an index for every element. */
  function spread(ref: Ref): Ref {
    const rows = torch.run('aten::reshape', backend.cast(ref, ScalarType.int64), [batchSize, 1, -1, 1]);
    return torch.run('aten::expand', rows, [batchSize, outerSize, -1, sliceSize]);
  }
}
