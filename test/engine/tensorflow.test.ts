/** The tensorflow engine: what every engine must do, and what only this one has: TensorFlow's memory, its one context, its errors. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { IMAGE_MEAN, IMAGE_STD, selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import type { NodeBackend } from '#dist/engine/tensorflow/binding.js';
import { Random } from '#dist/common/random.js';
import { whereAvailable } from './available.js';
import { testEngine } from './contract.js';
import { zeros } from './reference.js';
import { expectClose, normal, toTensor, variable } from './tensors.js';

const tensorflow = await whereAvailable('tensorflow');
const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

tensorflow.describe(`tensorflow${tensorflow.note}`, () => {
  testEngine('tensorflow');

  describe('TensorFlow behind TensorFlow.js', () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine('tensorflow');
    });
    afterAll(() => engine.dispose());

    const held = (): number => (tf.backend() as NodeBackend).binding.getNumOfTensors();

    test('an upload has read the bytes: what is written to them later does not show', () => {
      const shape = [2, 64, 64, 3];
      const bytes = new Uint8Array(new SharedArrayBuffer(2 * 64 * 64 * 3)).fill(51);
      const uploaded = engine.upload(bytes, shape);
      bytes.fill(255);
      const expected = zeros(shape);
      for (const i of expected.data.keys()) expected.data[i] = (0.2 - (IMAGE_MEAN[i % 3] ?? 0)) / (IMAGE_STD[i % 3] ?? 0);
      expectClose(uploaded, expected, 1e-6);
      uploaded.dispose();
    });

    test('an upload whose memory TensorFlow would not take as it is: at an odd address', () => {
      const bytes = new Uint8Array(new SharedArrayBuffer(13), 1, 12).fill(51);
      const uploaded = engine.upload(bytes, [2, 2, 3]);
      bytes.fill(255);
      expect(values(uploaded)[0]).toBeCloseTo((0.2 - IMAGE_MEAN[0]) / IMAGE_STD[0], 5);
      uploaded.dispose();
    });

    test('what is under way already comes before the wait of a read', async () => {
      const order: string[] = [];
      const next = (async () => {
        for (let turn = 0; turn < 100; turn++) await undefined;
        order.push('the next batch');
      })();
      const tensor = tf.add(tf.ones([2]), 1);
      const read = tensor.data().then((data) => order.push(`read ${data}`));
      await Promise.all([next, read]);
      expect(order).toEqual(['the next batch', 'read 2,2']);
      tensor.dispose();
    });

    test('a read gives the values of its moment, also of a tensor that is changed or disposed of before its turn', async () => {
      const before = held();
      const weights = variable({ shape: [2], data: Float64Array.of(1, 2) });
      const sum = tf.add(weights, 1);
      const reads = [weights.data(), sum.data(), weights.data()];
      engine.lerp([weights], [sum], 1);
      sum.dispose();
      expect((await Promise.all(reads)).map(String)).toEqual(['1,2', '2,3', '1,2']);
      expect(values(weights)).toEqual([2, 3]);
      weights.dispose();
      expect(held()).toBe(before);
    });

    // TensorFlow takes an array at an address of its liking as it is: one of these sixteen is.
    test('in-place updates do not write to the array that a variable was made from', () => {
      const array = new Float32Array(2048 + 16).fill(3);
      for (let offset = 0; offset < 16; offset++) {
        tf.tidy(() => {
          const weights = tf.variable(tf.tensor1d(array.subarray(offset, offset + 2048)));
          engine.lerp([weights], [tf.zeros([2048])], 0.25);
          engine.sgd([weights], [tf.ones([2048])], [tf.variable(tf.zeros([2048]))], {
            learningRate: tf.scalar(1),
            momentum: 0.9,
            weightDecay: 0,
          });
          expect(values(weights)).toEqual(Array.from({ length: 2048 }, () => 1.25));
        });
      }
      expect(array.every((value) => value === 3)).toBe(true);
      tf.disposeVariables();
    });

    test('sgd without momentum', () => {
      const [weights, velocity] = [variable({ shape: [2], data: Float64Array.of(1, 2) }), variable(zeros([2]))];
      tf.tidy(() => {
        const options = { learningRate: tf.scalar(0.5), momentum: 0, weightDecay: 0.25 };
        engine.sgd([weights], [tf.tensor1d([1, -1])], [velocity], options);
        expect([values(velocity), values(weights)]).toEqual([
          [1.25, -0.5],
          [0.375, 2.25],
        ]);
      });
      tf.dispose([weights, velocity]);
    });

    test('sgd with the parameter or the velocity as its own gradient', () => {
      const [weights, velocity] = [
        variable({ shape: [2], data: Float64Array.of(1, -2) }),
        variable({ shape: [2], data: Float64Array.of(4, 8) }),
      ];
      tf.tidy(() => {
        const options = { learningRate: tf.scalar(0.5), momentum: 0.5, weightDecay: 0.25 };
        engine.sgd([weights], [weights], [velocity], options);
        expect([values(velocity), values(weights)]).toEqual([
          [3.25, 1.5],
          [-0.625, -2.75],
        ]);
        engine.sgd([weights], [velocity], [velocity], { ...options, weightDecay: 0 });
        expect([values(velocity), values(weights)]).toEqual([
          [4.875, 2.25],
          [-3.0625, -3.875],
        ]);
      });
      tf.dispose([weights, velocity]);
    });

    test('shapes that do not fit: the error has the shapes', () => {
      tf.tidy(() => {
        const run = (kernel: string, inputs: Record<string, tf.Tensor>) => tf.engine().runKernel(kernel, inputs);
        expect(() => run('Add', { a: tf.ones([2]), b: tf.ones([3]) })).toThrow(/\[2\] vs\. \[3\]/);
        expect(() => tf.conv2d(tf.ones<tf.Rank.R4>([1, 2, 2, 3]), tf.ones<tf.Rank.R4>([5, 5, 3, 4]), 1, 'valid')).toThrow();
      });
    });

    test('a tensor that was disposed of cannot be used', () => {
      tf.tidy(() => {
        const [gone, kept] = [tf.ones([3]), variable(zeros([3]))];
        gone.dispose();
        expect(() => gone.dataSync()).toThrow('Tensor is disposed');
        expect(() => engine.lerp([kept], [gone], 0.5)).toThrow('a tensor is used after it was disposed of');
        kept.dispose();
      });
    });

    test('frees what work has made, also where it fails', () => {
      const random = new Random(41);
      const filter = variable(normal(random, [3, 3, 4, 8]));
      const velocity = variable(zeros(filter.shape));
      const average = variable(zeros(filter.shape));
      const queue = variable(normal(random, [16, 8])) as tf.Variable<tf.Rank.R2>;
      const bytes = new Uint8Array(4 * 6 * 6 * 3).fill(7);
      const work = () =>
        tf.tidy(() => {
          const [x, keys] = [toTensor(normal(random, [4, 6, 6, 4])), toTensor<tf.Rank.R2>(normal(random, [4, 8]))];
          const [scale, offset] = [tf.ones([8]), tf.zeros([8])];
          engine.upload(bytes, [4, 6, 6, 3]);
          const loss = (weights: tf.Tensor): tf.Scalar => {
            const y = tf.maxPool(tf.conv2d(x as tf.Tensor4D, weights as tf.Tensor4D, 2, 1), 3, 2, 1);
            const normalised = engine.groupedBatchNorm(y, scale, offset, { groups: 2, epsilon: 1e-5, relu: true, residual: y }).y;
            return engine.infoNce(tf.mean(normalised, [1, 2]) as tf.Tensor2D, keys, queue, 0.2);
          };
          const gradient = tf.grad(loss)(filter);
          engine.sgd([filter], [gradient], [velocity], { learningRate: tf.scalar(0.1), momentum: 0.9, weightDecay: 1e-4 });
          engine.lerp([average], [filter], 0.1);
          engine.enqueue(queue, keys, tf.scalar(4, 'int32'));
          engine.scatterRows(queue, keys, tf.tensor1d([3, 9, 1, 0], 'int32'));
          expect(() => tf.conv2d(x as tf.Tensor4D, tf.ones<tf.Rank.R4>([9, 9, 4, 8]), 1, 'valid')).toThrow();
        });
      work();
      const [before, tensors] = [held(), tf.memory().numTensors];
      work();
      expect({ held: held(), tensors: tf.memory().numTensors }).toEqual({ held: before, tensors });
      tf.dispose([filter, velocity, average, queue]);
    });

    test('what is left of an engine that was disposed of frees nothing of the next', async () => {
      const left = variable({ shape: [3], data: Float64Array.of(1, 2, 3) });
      engine.lerp([left], [left], 1);
      await engine.dispose();
      const [first, second] = await Promise.allSettled([selectEngine('tensorflow'), selectEngine('tensorflow')]);
      if (first.status === 'fulfilled') engine = first.value;
      expect([first.status, second]).toMatchObject(['fulfilled', { reason: { message: expect.stringContaining('dispose of it first') } }]);
      expect(held()).toBe(0);
      const fresh = [1, 2, 3, 4].map((value) => toTensor({ shape: [1], data: Float64Array.of(value) }));
      left.dispose();
      expect(fresh.map((tensor) => values(tensor)[0])).toEqual([1, 2, 3, 4]);
      tf.dispose(fresh);
    });
  });

  // TensorFlow takes them once a process, so each test has one of its own.
  describe('options', () => {
    function inProcess(body: string): Record<string, unknown> {
      const script = `
        import { readdirSync } from 'node:fs';
        import { once } from 'node:events';
        import { isDeepStrictEqual } from 'node:util';
        import { SHARE_ENV, Worker } from 'node:worker_threads';
        import * as tf from '@tensorflow/tfjs-core';
        import { selectEngine } from '#dist/engine/index.js';
        const refusal = (options) => selectEngine('tensorflow', options).then((engine) => engine.dispose().then(() => 'started'), ({ message }) => message);
        ${body}`;
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
      expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout) as Record<string, unknown>;
    }

    test('another number of threads, another device, bf16: refused with what there is', () => {
      const answers = inProcess(`
        const before = { ...process.env };
        const engine = await selectEngine('tensorflow', { threads: 1, device: 'cpu' });
        const { description, device } = engine;
        await engine.dispose();
        const again = await selectEngine('tensorflow', { threads: 1, device: 'auto', precision: 'tf32' });
        const tf32 = again.description.replace(description, 'the same');
        await again.dispose();
        const refusals = [];
        for (const options of [{ threads: 2 }, { device: 'cuda:1' }, { precision: 'bf16' }]) refusals.push(await refusal(options));
        const unchanged = isDeepStrictEqual({ TF_CPP_MIN_LOG_LEVEL: '2', ...before }, { ...process.env });
        console.log(JSON.stringify({ description, device, tf32, refusals, unchanged }));`);
      expect(answers).toEqual({
        description: expect.stringMatching(/^tensorflow: TensorFlow\.js 4\.\d+\.\d+ over TensorFlow \d+\.\d+\.\d+, CPU, 1 thread, fp32$/),
        device: 'cpu',
        tf32: 'the same',
        refusals: [
          'threads 2: TensorFlow was started with threads 1 in this process and takes them once; expected 1, or a process of its own for the other',
          expect.stringContaining('device cuda:1: TensorFlow was started with device cpu'),
          expect.stringContaining('precision "bf16": engine tensorflow computes in fp32'),
        ],
        unchanged: true,
      });
    });

    const inWorker = (env: string): Record<string, unknown> =>
      inProcess(`
        const inWorker = \`
          import { parentPort } from 'node:worker_threads';
          import { selectEngine } from '#dist/engine/index.js';
          parentPort.postMessage(await selectEngine('tensorflow', { threads: 1 }).then(({ description }) => description, ({ message }) => message));\`;
        const worker = new Worker(inWorker, { eval: true, env: ${env} });
        const [said] = await once(worker, 'message');
        await once(worker, 'exit');
        console.log(JSON.stringify({ said }));`);

    test('a worker thread with an environment of its own: refused', () => {
      expect(inWorker('process.env')).toEqual({
        said:
          'engine "tensorflow" is not available: TensorFlow reads threads and device from environment variables, and those of this worker thread ' +
          'are a copy that it does not see; start the Worker with env: SHARE_ENV, or TensorFlow in the main thread',
      });
    });

    test("a worker thread with the process's environment: starts, and the process outlives the thread", () => {
      expect(inWorker('SHARE_ENV')).toEqual({ said: expect.stringMatching(/^tensorflow: .*, CPU, 1 thread, fp32$/) });
    });

    test('threads are as many as TensorFlow computes on', () => {
      const count = (threads: number): number => {
        const { pool } = inProcess(`
          const before = new Set(readdirSync('/proc/self/task'));
          const engine = await selectEngine('tensorflow', { threads: ${threads}, device: 'cpu' });
          tf.dispose(tf.conv2d(tf.ones([8, 32, 32, 32]), tf.ones([3, 3, 32, 32]), 1, 1));
          console.log(JSON.stringify({ pool: readdirSync('/proc/self/task').filter((id) => !before.has(id)).length }));
          await engine.dispose();`);
        return pool as number;
      };
      expect(count(7) - count(2)).toBe(5);
    });

    test('a GPU where there is none: the error says what TensorFlow lacks, and the CPU can be used afterwards', () => {
      const { refusal, other, device } = inProcess(`
        const answer = await refusal({ device: 'cuda' });
        const other = await refusal({ device: 'cuda:5' });
        const engine = await selectEngine('tensorflow', { device: answer === 'started' ? 'cuda' : 'cpu' });
        console.log(JSON.stringify({ refusal: answer, other, device: engine.device }));
        await engine.dispose();`);
      if (device === 'cpu')
        expect(refusal).toMatch(/^device "cuda": TensorFlow \d+\.\d+\.\d+ of @tensorflow\S+ \(.+\) finds no GPU that it can use; /);
      expect(other).toContain('device cuda:5: TensorFlow was started with device ');
    });
  });
});
