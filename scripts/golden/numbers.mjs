/** Numbers that any language can rebuild from a name: what the golden files' weights, inputs and permutations are made of. */
import { streamId } from '../../dist/common/random.js';

/**
 * Fills `into` with uniform numbers in [0, 1), through `map`: element i is mulberry32's output for the counter
 * fnv1a(name) + (i + 1) 0x6D2B79F5 (mod 2^32).
 */
export function detUniform(name, into, map = (u) => u) {
  const start = streamId(name);
  for (let i = 0; i < into.length; i++) {
    const counter = start + Math.imul(i + 1, 0x6d2b79f5);
    let t = Math.imul(counter ^ (counter >>> 15), counter | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    into[i] = map(((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000);
  }
  return into;
}

/**
 * The values of a parameter by its golden name, in PyTorch's layout. Weights: uniform within sqrt(3 / fan_in); biases
 * within 0.1; batch norm scales in [0.5, 1.5), offsets within 0.1.
 */
export function detParameter(name, torchShape) {
  const key = `${name} ${torchShape}`;
  if (!parameters.has(key)) parameters.set(key, newParameter(name, torchShape));
  return parameters.get(key);
}

/** Methods have the backbone's parameters in common, some 10^7 numbers. They are not to be changed. */
const parameters = new Map();

function newParameter(name, torchShape) {
  const values = new Float32Array(size(torchShape));
  if (torchShape.length > 1) {
    const bound = Math.sqrt(3 / size(torchShape.slice(1)));
    return detUniform(name, values, (u) => (u * 2 - 1) * bound);
  }
  if (name.endsWith('bn.weight')) return detUniform(name, values, (u) => 0.5 + u);
  if (name.endsWith('bn.bias')) return detUniform(name, values, (u) => 0.2 * (u - 0.5));
  return detUniform(name, values, (u) => (u * 2 - 1) * 0.1);
}

/** A queue's rows in [-0.5, 0.5), unit norm, [rows x dim]. */
export function detQueue(name, [rows, dim]) {
  const values = detUniform(`queue.${name}`, new Float32Array(rows * dim), (u) => Math.fround(u) - 0.5);
  for (let start = 0; start < values.length; start += dim) {
    const row = values.subarray(start, start + dim);
    const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    row.forEach((x, i) => (row[i] = x / length));
  }
  return values;
}

/** A view of normalised-image-like pixels in [-2, 2), in float32 arithmetic as the references do it. */
export function detView(name, shape) {
  return detUniform(`input.${name}`, new Float32Array(size(shape)), (u) => Math.fround(u) * 4 - 2);
}

/** Levels of a picture, 0..255. */
export function detLevels(name, shape) {
  return detUniform(`input.${name}`, new Float32Array(size(shape)), (u) => Math.floor(u * 256));
}

/** The permutation of 0..n-1 that sorts n deterministic numbers. */
export function detPermutation(name, n) {
  const u = detUniform(`perm.${name}`, new Float64Array(n));
  return Int32Array.from(u.keys()).toSorted((a, b) => u[a] - u[b]);
}

/** `count` numbers of 0..n-1, of which some may be the same. */
export function detOrdinals(name, count, n) {
  return detUniform(name, new Int32Array(count), (u) => Math.floor(u * n));
}

/** A parameter's name in the golden files: batch norms have a `bn` before the last part, `layer1.0.bn1.bn.weight`. */
export function goldenName(name) {
  return name.replace(/(^|\.)(bn\d|downsample\.1)\.(weight|bias)$/, '$1$2.bn.$3');
}

export function size(shape) {
  return shape.reduce((product, extent) => product * extent, 1);
}
