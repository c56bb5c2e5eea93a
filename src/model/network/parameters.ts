/**
 * What a network's tensors are called, how they are shaped and where they start.
 *
 * Names are torchvision's (`layer1.0.conv1.weight`), layouts are TensorFlow.js's: convolutions [h, w, in, out], linear
 * weights [in, out]. PyTorch keeps [out, in, h, w] and [out, in]; `toTorchLayout` and `fromTorchLayout` go between.
 */
import { Random, streamId } from '../../common/random.js';

export interface ParameterSpec {
  readonly name: string;
  /** TensorFlow.js layout. */
  readonly shape: readonly number[];
  readonly start: Start;
}

/** The tensors that a network needs. */
export interface NetworkSpecs {
  readonly parameters: readonly ParameterSpec[];
  /** Running means and variances of the batch norms. */
  readonly buffers: readonly ParameterSpec[];
}

/** The distribution that a tensor starts from. */
export type Start =
  | { readonly from: 'constant'; readonly value: number }
  | { readonly from: 'normal'; readonly deviation: number }
  /** Uniform in [-bound, bound). */
  | { readonly from: 'uniform'; readonly bound: number };

/** A k x k convolution without bias; Kaiming normal over fan_out with ReLU's gain, as torchvision's ResNet starts. */
export function convolution(name: string, kernel: number, inputs: number, outputs: number): ParameterSpec {
  return {
    name: `${name}.weight`,
    shape: [kernel, kernel, inputs, outputs],
    start: { from: 'normal', deviation: Math.sqrt(2 / (kernel * kernel * outputs)) },
  };
}

/** Of every batch norm; PyTorch's default. */
export const BN_EPSILON = 1e-5;

/** Scale and offset of a batch norm. */
export function batchNorm(name: string, channels: number): ParameterSpec[] {
  return [
    { name: `${name}.weight`, shape: [channels], start: { from: 'constant', value: 1 } },
    { name: `${name}.bias`, shape: [channels], start: { from: 'constant', value: 0 } },
  ];
}

/** Running mean and variance of a batch norm: buffers, not parameters. */
export function batchNormBuffers(name: string, channels: number): ParameterSpec[] {
  return [
    { name: `${name}.running_mean`, shape: [channels], start: { from: 'constant', value: 0 } },
    { name: `${name}.running_var`, shape: [channels], start: { from: 'constant', value: 1 } },
  ];
}

/** A linear layer with bias; Kaiming normal over fan_in with ReLU's gain and bias 0, as OpenSelfSup, DetCo's code base, starts heads. */
export function linear(name: string, inputs: number, outputs: number): ParameterSpec[] {
  return [
    { name: `${name}.weight`, shape: [inputs, outputs], start: { from: 'normal', deviation: Math.sqrt(2 / inputs) } },
    { name: `${name}.bias`, shape: [outputs], start: { from: 'constant', value: 0 } },
  ];
}

/** The starting values of one tensor: a function of the run's seed and the tensor's name alone. */
export function startingValues({ name, shape, start }: ParameterSpec, seed: number): Float32Array {
  const values = new Float32Array(size(shape));
  if (start.from === 'constant') return values.fill(start.value);
  const random = new Random(seed, streamId('parameters'), streamId(name));
  if (start.from === 'normal') return fillNormal(values, random, start.deviation);
  for (let i = 0; i < values.length; i++) values[i] = random.between(-start.bound, start.bound);
  return values;
}

/** Normal numbers by Box-Muller, both of each pair: queues and networks hold some 10^8 of them. */
export function fillNormal(values: Float32Array, random: Random, deviation: number): Float32Array {
  for (let i = 0; i < values.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const angle = 2 * Math.PI * random.uniform();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** Values of a parameter in row-major order, with its shape. */
export interface Weights {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

/** A parameter as PyTorch lays it out: [h, w, in, out] -> [out, in, h, w], [in, out] -> [out, in], [C] as it is. */
export function toTorchLayout({ values, shape }: Weights): Weights {
  if (shape.length < 2) return { values, shape };
  const [outputs, inputs, taps] = extents(shape.at(-1), shape.at(-2), shape.slice(0, -2));
  const moved = new Float32Array(values.length);
  for (let tap = 0, from = 0; tap < taps; tap++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < outputs; o++) moved[(o * inputs + i) * taps + tap] = values[from++] as number;
    }
  }
  return { values: moved, shape: torchShape(shape) };
}

/** The shape of a parameter as PyTorch has it. */
export function torchShape(shape: readonly number[]): number[] {
  return shape.length < 2 ? [...shape] : [...shape.slice(-2).toReversed(), ...shape.slice(0, -2)];
}

/** The inverse of `toTorchLayout`. */
export function fromTorchLayout({ values, shape }: Weights): Weights {
  if (shape.length < 2) return { values, shape };
  const [outputs, inputs, taps] = extents(shape[0], shape[1], shape.slice(2));
  const moved = new Float32Array(values.length);
  for (let tap = 0, to = 0; tap < taps; tap++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < outputs; o++) moved[to++] = values[(o * inputs + i) * taps + tap] as number;
    }
  }
  return { values: moved, shape: [...shape.slice(2), inputs, outputs] };
}

export function size(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function extents(outputs = 1, inputs = 1, kernel: readonly number[] = []): [number, number, number] {
  return [outputs, inputs, size(kernel)];
}
