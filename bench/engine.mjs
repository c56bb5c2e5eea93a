/**
 * Speed of an engine's training kernels at the shapes of a small DetCo step: GFLOP/s of convolutions and products and their
 * gradients, GB/s of what is bound by memory.
 *
 *     node bench/engine.mjs [--engine wasm] [--batch 32] [--width 16] [--image 64] [--patch 24] [--json]
 */
import { cpus } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from 'detco/engine';
import { readOptions } from './arguments.mjs';

const values = readOptions({
  engine: { type: 'string', default: 'wasm' },
  batch: { type: 'string', default: '32' },
  width: { type: 'string', default: '16' },
  image: { type: 'string', default: '64' },
  patch: { type: 'string', default: '24' },
  json: { type: 'boolean', default: false },
});
const [batch, width, image, patch] = [values.batch, values.width, values.image, values.patch].map(Number);
const engine = await selectEngine(values.engine);
const results = [];

/** Median milliseconds of a call, over about a fifth of a second after two warm-up calls. */
function milliseconds(work) {
  const times = [];
  for (let i = 0, spent = 0; i < 5 || spent < 200; i++) {
    const start = performance.now();
    tf.dispose(tf.tidy(work));
    const time = performance.now() - start;
    if (i >= 2) times.push(time);
    spent += time;
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1];
}

function report(name, shape, amount, unit, work) {
  const ms = milliseconds(work);
  results.push({ name, shape, ms, rate: amount / ms / 1e6, unit });
}

/** Pairs of output position and tap along an axis that meet the input: multiplications by padding are no work. */
function insideTaps(size, kernel, stride, pad) {
  let count = 0;
  for (let start = -pad; start + kernel <= size + pad; start += stride) {
    for (let at = start; at < start + kernel; at++) if (at >= 0 && at < size) count++;
  }
  return count;
}

function convolution(n, size, channels, outChannels, kernel, stride) {
  tf.tidy(() => {
    const pad = kernel >> 1;
    const x = tf.randomNormal([n, size, size, channels]);
    const filter = tf.randomNormal([kernel, kernel, channels, outChannels]);
    const attrs = { strides: stride, pad, dataFormat: 'NHWC', dilations: 1 };
    const dy = tf.conv2d(x, filter, stride, pad);
    const shape = `${n}x${size}x${size}x${channels} ${kernel}x${kernel}/${stride} ${outChannels}`;
    const flop = 2 * n * insideTaps(size, kernel, stride, pad) ** 2 * channels * outChannels;
    const run = (name, inputs, more = {}) => tf.engine().runKernel(name, inputs, { ...attrs, ...more });
    report('conv', shape, flop, 'GFLOP/s', () => run('Conv2D', { x, filter }));
    if (channels > 3) report('conv dx', shape, flop, 'GFLOP/s', () => run('Conv2DBackpropInput', { dy, filter }, { inputShape: x.shape }));
    report('conv dw', shape, flop, 'GFLOP/s', () => run('Conv2DBackpropFilter', { x, dy }, { filterShape: filter.shape }));
  });
}

/** `work` and, under one more name, its gradient for a given dy; `bytes` read and written by both. */
function withGradient(name, shape, bytes, gradientBytes, x, work) {
  const dy = tf.randomNormal(tf.tidy(() => work(x).shape));
  report(name, shape, bytes, 'GB/s', () => work(x));
  report(`${name} + grad`, shape, bytes + gradientBytes, 'GB/s', () => tf.grad(work)(x, dy));
}

function pointwise(n, size, channels) {
  tf.tidy(() => {
    const x = tf.randomNormal([n, size, size, channels]);
    const [scale, offset] = [tf.ones([channels]), tf.zeros([channels])];
    const options = { groups: 8, epsilon: 1e-5, relu: true };
    const bytes = 4 * x.size;
    const shape = `${n}x${size}x${size}x${channels}`;
    withGradient('bn relu', shape, 3 * bytes, 7 * bytes, x, (v) => engine.groupedBatchNorm(v, scale, offset, options).y);
    withGradient('global mean', shape, bytes, bytes, x, (v) => tf.mean(v, [1, 2]));
    if (size > 1) withGradient('max pool', shape, 1.25 * bytes, 2.5 * bytes, x, (v) => tf.maxPool(v, 3, 2, 1));
  });
}

function product(rows, depth, columns) {
  tf.tidy(() => {
    const a = tf.randomNormal([rows, depth]);
    const b = tf.randomNormal([depth, columns]);
    const [at, bt] = [tf.transpose(a), tf.transpose(b)];
    const flop = 2 * rows * depth * columns;
    const shape = `${rows}x${depth}x${columns}`;
    report('matmul', shape, flop, 'GFLOP/s', () => tf.matMul(a, b));
    report('matmul ta', shape, flop, 'GFLOP/s', () => tf.matMul(at, b, true, false));
    report('matmul tb', shape, flop, 'GFLOP/s', () => tf.matMul(a, bt, false, true));
  });
}

for (const [n, pixels] of [
  [batch, image],
  [batch * 9, patch],
]) {
  const half = (size) => Math.ceil(size / 2);
  let size = half(pixels);
  convolution(n, pixels, 3, width, 7, 2);
  pointwise(n, size, width);
  size = half(size);
  convolution(n, size, width, width, 3, 1);
  for (let channels = width; channels < width * 8; channels *= 2) {
    convolution(n, size, channels, channels * 2, 3, 2);
    convolution(n, size, channels, channels * 2, 1, 2);
    size = half(size);
    convolution(n, size, channels * 2, channels * 2, 3, 1);
    pointwise(n, size, channels * 2);
  }
}
product(batch, width * 72, width * 8);
product(batch, 128, 4096);

tf.tidy(() => {
  const count = 1 << 20;
  const make = () => tf.variable(tf.randomNormal([count]));
  const [parameter, gradient, velocity] = [make(), make(), make()];
  const options = { learningRate: tf.scalar(1e-9), momentum: 0.9, weightDecay: 1e-4 };
  report('sgd', `${count}`, 20 * count, 'GB/s', () => engine.sgd([parameter], [gradient], [velocity], options));
  report('lerp', `${count}`, 12 * count, 'GB/s', () => engine.lerp([parameter], [velocity], 1e-6));
  const bytes = new Uint8Array(batch * image * image * 3);
  report('upload', `${batch}x${image}x${image}x3`, 5 * bytes.length, 'GB/s', () => engine.upload(bytes, [batch, image, image, 3]));
  tf.dispose([parameter, gradient, velocity]);
});

if (values.json) {
  console.log(
    JSON.stringify({
      engine: engine.description,
      cpu: cpus()[0]?.model,
      node: process.version,
      results,
    }),
  );
} else {
  console.log(`${engine.description}; ${cpus()[0]?.model}; Node ${process.version}`);
  for (const { name, shape, ms, rate, unit } of results) {
    console.log(name.padEnd(20), shape.padEnd(28), `${ms.toFixed(2)} ms`.padStart(10), `${rate.toFixed(1)} ${unit}`.padStart(16));
  }
}
await engine.dispose();
