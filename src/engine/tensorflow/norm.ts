/** GroupedBatchNorm and its gradient over TensorFlow's FusedBatchNormV3 and FusedBatchNormGradV3, once a group. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { GroupedBatchNorm, GroupedBatchNormGrad } from '../operations/grouped-batch-norm.js';
import type {
  GroupedBatchNormAttrs,
  GroupedBatchNormGradAttrs,
  GroupedBatchNormGradInputs,
  GroupedBatchNormInputs,
} from '../operations/grouped-batch-norm.js';
import type { Attributes, Eager, Ref } from './eager.js';
import { register } from './register.js';

/** y, mean, unbiased variance, and three reserves whose contents are a matter of the device: y's gradient takes them as they are. */
const FORWARD_OUTPUTS = 6;
/** dx, dScale, dOffset, and two that are empty. */
const GRADIENT_OUTPUTS = 5;

function attributes({ T }: Eager, epsilon: number): Attributes {
  return { type: { ...T, U: T.T }, float: { epsilon }, string: { data_format: 'NHWC' }, bool: { is_training: true } };
}

/** The fused kernels know images alone: [N, C] as [N, 1, 1, C]. */
function images(eager: Eager, x: Ref): Ref {
  const [rows = 0, channels = 0] = x.shape;
  return x.shape.length === 4 ? x : eager.reshape(x, [rows, 1, 1, channels]);
}

function shaped(eager: Eager, x: Ref, shape: readonly number[]): Ref {
  return x.shape.join() === shape.join() ? x : eager.reshape(x, shape);
}

/** Equal parts along the first axis: views where TensorFlow's alignment allows. */
function split(eager: Eager, x: Ref, parts: number): Ref[] {
  return parts === 1 ? [x] : eager.runAll('Split', [eager.integers(0), x], parts, { type: eager.T, int: { num_split: parts } });
}

function join(eager: Eager, parts: readonly Ref[]): Ref {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const type = { ...eager.T, Tidx: eager.binding.TF_INT32 };
  return eager.run('ConcatV2', [...parts, eager.integers(0)], { type, int: { N: parts.length } });
}

/** [groups, ...] of one tensor a group; that tensor itself for a single group. */
function pack(eager: Eager, each: readonly Ref[]): Ref {
  const [first] = each;
  if (first !== undefined && each.length === 1) return first;
  return eager.run('Pack', each, { type: eager.T, int: { N: each.length, axis: 0 } });
}

function unpack(eager: Eager, packed: Ref, groups: number): Ref[] {
  return groups === 1 ? [packed] : eager.runAll('Unpack', [packed], groups, { type: eager.T, int: { num: groups, axis: 0 } });
}

function sum(eager: Eager, each: readonly Ref[]): Ref {
  const [first] = each;
  return first !== undefined && each.length === 1 ? first : eager.run('AddN', each, { type: eager.T, int: { N: each.length } });
}

function mean(eager: Eager, each: readonly Ref[]): Ref {
  return each.length === 1 ? sum(eager, each) : eager.run('Mul', [sum(eager, each), eager.floats(1 / each.length)]);
}

function column(rows: readonly (readonly Ref[])[], i: number): Ref[] {
  return rows.flatMap((row) => row[i] ?? []);
}

/** `by`, when nothing else needs `old` any more: activations are large. */
function instead(eager: Eager, old: Ref, by: Ref): Ref {
  eager.free(old);
  return by;
}

export function registerNorm(): void {
  register<GroupedBatchNormInputs, GroupedBatchNormAttrs>(GroupedBatchNorm, ({ inputs, attrs: { groups, epsilon, relu }, eager }) => {
    const x = images(eager, eager.of(inputs.x));
    const [scale, offset] = [eager.of(inputs.scale), eager.of(inputs.offset)];
    const none = eager.floats([]);
    const results = split(eager, x, groups).map((part) =>
      eager.runAll('FusedBatchNormV3', [part, scale, offset, none, none], FORWARD_OUTPUTS, attributes(eager, epsilon)),
    );
    const each = column(results, 0);
    // The activation once, not a group at a time: TensorFlow's elementwise operations are the faster the larger they are.
    let y = join(eager, each);
    if (groups > 1) eager.free(...each);
    y = shaped(eager, y, inputs.x.shape);
    if (inputs.residual !== undefined) y = instead(eager, y, eager.run('AddV2', [y, eager.of(inputs.residual)]));
    if (relu) y = instead(eager, y, eager.run('Relu', [y]));
    const outputs = [
      y,
      mean(eager, column(results, 1)),
      mean(eager, column(results, 2)),
      pack(eager, column(results, 3)),
      pack(eager, column(results, 4)),
      pack(eager, column(results, 5)),
    ];
    return outputs.map((output) => eager.give(output));
  });

  register<GroupedBatchNormGradInputs, GroupedBatchNormGradAttrs>(
    GroupedBatchNormGrad,
    ({ inputs, attrs: { groups, epsilon, residual }, eager }) => {
      const { x, y, scale, groupMean, groupInverse, reserve } = inputs;
      if (reserve === undefined) throw new Error('batch norm gradient without the reserve of its forward pass');
      const dy = y === undefined ? eager.of(inputs.dy) : eager.run('ReluGrad', [eager.of(inputs.dy), eager.of(y)]);
      const [gradients, parts] = [dy, eager.of(x)].map((tensor) => split(eager, images(eager, tensor), groups)) as [Ref[], Ref[]];
      const reserves = [groupMean, groupInverse, reserve].map((tensor) => unpack(eager, eager.of(tensor), groups));
      const results = parts.map((part, group) => {
        const gradient = gradients[group] as Ref;
        const ofGroup = [gradient, part, eager.of(scale), ...column(reserves, group)];
        const result = eager.runAll('FusedBatchNormGradV3', ofGroup, GRADIENT_OUTPUTS, attributes(eager, epsilon));
        if (groups > 1) eager.free(gradient, part);
        return result;
      });
      const each = column(results, 0);
      const joined = join(eager, each);
      if (groups > 1) eager.free(...each);
      const dx = shaped(eager, joined, x.shape);
      const [dScale, dOffset] = [sum(eager, column(results, 1)), sum(eager, column(results, 2))];
      const outputs: Tensor[] = [dx, dScale, dOffset].map((output) => eager.give(output));
      return residual ? [...outputs, eager.give(dy)] : outputs;
    },
  );
}
