import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { EngineOptions } from '#dist/engine/index.js';
import { testEngine } from './contract.js';

testEngine('wasm');

describe('the wasm engine', () => {
  test('holds its memory flat over many training steps', async () => {
    const engine = await selectEngine('wasm');
    const heapBytes = (): number => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.byteLength;
    const filter = tf.variable(tf.randomNormal([3, 3, 16, 64], 0, 0.1)) as tf.Variable<tf.Rank.R4>;
    const scale = tf.variable(tf.ones([64]));
    const step = (images: number): void =>
      tf.tidy(() => {
        const x = tf.ones([images, 24, 24, 16]) as tf.Tensor4D;
        const { grads } = tf.variableGrads(
          () => tf.mean(engine.groupedBatchNorm(tf.conv2d(x, filter, 1, 1), scale, scale, { groups: 2, epsilon: 1e-5 }).y) as tf.Scalar,
        );
        engine.lerp([filter], [grads[filter.name] as tf.Tensor], 1e-3);
      });
    for (let i = 0; i < 5; i++) step(16);
    const settled = heapBytes();
    for (let i = 0; i < 40; i++) step(i % 2 === 0 ? 16 : 8);
    expect(heapBytes()).toBe(settled);
    tf.dispose([filter, scale]);
    await engine.dispose();
  });

  test.each<[EngineOptions, string]>([
    [{ precision: 'bf16' }, 'precision "bf16": engine wasm computes in fp32 alone; use engine torch'],
    [{ device: 'cuda:1' }, 'device "cuda:1": engine wasm runs on the CPU alone, expected cpu or auto; use engine torch'],
    [{ threads: 4 }, 'threads 4: engine wasm runs on one thread alone; use engine torch'],
  ])('refuses %j', async (options, message) => {
    await expect(selectEngine('wasm', options)).rejects.toThrow(message);
  });

  test('refuses keys that do not fit behind the queue pointer', async () => {
    const engine = await selectEngine('wasm', { device: 'cpu', precision: 'fp32', threads: 1 });
    const queue = tf.variable(tf.zeros([8, 6])) as tf.Variable<tf.Rank.R2>;
    expect(() => engine.enqueue(queue, tf.ones([3, 6]), tf.scalar(6, 'int32'))).toThrow(
      'queue pointer 6 with 3 keys: expected an integer from 0 to 5',
    );
    expect(tf.sum(queue).dataSync()[0]).toBe(0);
    await engine.dispose();
  });

  test('refuses a tensor beyond its 4 GiB and goes on', async () => {
    const engine = await selectEngine('wasm');
    const [column, row] = [tf.ones([40_000, 1]), tf.ones([1, 40_000])];
    expect(() => tf.matMul(column, row)).toThrow('no room for 6400000000 bytes');
    expect(tf.matMul(row, column).dataSync()[0]).toBe(40_000);
    await engine.dispose();
  });

  test('multiplies integers exactly, beyond what floats hold', async () => {
    const engine = await selectEngine('wasm');
    const product = tf.matMul(tf.tensor2d([2 ** 20, 1], [1, 2], 'int32'), tf.tensor2d([2 ** 10, 1], [2, 1], 'int32'));
    expect([product.dtype, ...product.dataSync()]).toEqual(['int32', 2 ** 30 + 1]);
    await engine.dispose();
  });

  // TensorFlow.js greets from Node, and its backends warn of kernels that are registered twice.
  test('starts and trains without a word on the console', async () => {
    const script = `
      const { selectEngine } = await import('${new URL('../../dist/engine/index.js', import.meta.url).href}');
      const engine = await selectEngine('wasm');
      const tf = await import('@tensorflow/tfjs-core');
      const x = engine.upload(new Uint8Array(108), [1, 6, 6, 3]);
      const filter = tf.variable(tf.ones([3, 3, 3, 8]));
      tf.variableGrads(() => tf.mean(tf.relu(tf.conv2d(x, filter, 1, 1))));
      await engine.dispose();
      await selectEngine('wasm');`;
    const cwd = new URL('../..', import.meta.url);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { cwd });
    expect(stdout + stderr).toBe('');
  });

  test('gathers as another engine does in the same process, when that one is no more', async () => {
    for (let engines = 0; engines < 3; engines++) {
      const engine = await selectEngine('wasm');
      const [rows, which] = [tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]), tf.tensor1d([2, 0], 'int32')];
      expect([...tf.gather(rows, which).dataSync()]).toEqual([5, 6, 1, 2]);
      tf.dispose([rows, which]);
      await engine.dispose();
    }
  });

  // The tape takes a clone of every tensor that a gradient needs.
  test('clones without copying', async () => {
    const engine = await selectEngine('wasm');
    const tensor = engine.upload(new Uint8Array(12), [2, 2, 3]);
    const clone = tensor.clone();
    expect(clone.dataId).toBe(tensor.dataId);
    tensor.dispose();
    expect(clone.dataSync()).toHaveLength(12);
    clone.dispose();
    await engine.dispose();
  });

  // The kernels share the memory of the TensorFlow.js backend: data or a start function of their own would overwrite its.
  test.each(['kernels', 'kernels-relaxed'])('has %s without data, start function or memory of their own', async (file) => {
    const bytes = await readFile(new URL(`../../dist/engine/wasm/${file}.wasm`, import.meta.url));
    const sections = new Map<number, number>();
    for (let at = 8; at < bytes.length;) {
      const id = bytes[at] ?? 0;
      let [length, shift] = [0, 0];
      do {
        at += 1;
        length |= ((bytes[at] ?? 0) & 0x7f) << shift;
        shift += 7;
      } while ((bytes[at] ?? 0) >= 0x80);
      at += 1;
      sections.set(id, length);
      at += length;
    }
    const [memory, start, code, data] = [5, 8, 10, 11];
    expect(sections.has(code)).toBe(true);
    for (const section of [memory, start, data]) expect(sections.has(section)).toBe(false);
  });
});
