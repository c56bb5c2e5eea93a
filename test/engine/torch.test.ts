/** The torch engine: what every engine must do, and what only this one has: bfloat16, views, LibTorch's errors. */
import { execFileSync } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import type { TorchBackend } from '#dist/engine/torch/backend.js';
import { openblasCore } from '#dist/engine/torch/blas.js';
import { cpuFlags } from '#dist/engine/torch/product.js';
import { Random } from '#dist/common/random.js';
import { whereAvailable } from './available.js';
import { testSimilarities } from './contract-loss.js';
import { testSteps } from './contract-step.js';
import { testEngine } from './contract.js';
import { convolution, product, transpose, zeros } from './reference.js';
import type { Array64 } from './reference.js';
import { expectClose, normal, toTensor, variable } from './tensors.js';

const torch = await whereAvailable('torch');
const values = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

torch.describe(`torch${torch.note}`, () => {
  test('OpenBLAS takes kernels for this CPU, in a process that has told it nothing', () => {
    const code = "import('#dist/engine/torch/native.js').then(({ loadNative }) => console.log(loadNative().info().openblasCore ?? ''))";
    const env = { ...process.env, OPENBLAS_CORETYPE: undefined };
    const core = execFileSync(process.execPath, ['-e', code], { env, encoding: 'utf8' }).trim();
    expect(openblasCore(core, cpuFlags())).toBeUndefined();
  });

  testEngine('torch');

  // One thread a call, three calls at once, two threads a call.
  describe.each([2, 3, 4])('on %i threads', (threads) => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine('torch', { threads, device: 'cpu' });
    });
    afterAll(() => engine.dispose());
    testSteps(() => engine);

    test('a variable is changed after what is to read it before, late and through a view, and before what is to read it then', () => {
      const random = new Random(39);
      const [start, goal, factor] = [normal(random, [64, 32]), normal(random, [64, 32]), normal(random, [256, 256])];
      const [plain, other] = [variable(start), variable(start)];
      const target = toTensor(goal);
      const stepOf = (weights: tf.Variable) => (inputs: { readonly x: tf.Tensor2D }) =>
        tf.tidy(() => {
          const view = tf.reshape(weights, [32, 64]);
          let late: tf.Tensor = inputs.x;
          for (let i = 0; i < 30; i++) late = tf.div(tf.matMul(late, inputs.x, false, i % 2 === 0), 1000);
          const before = tf.add(view, tf.mean(late));
          view.dispose();
          engine.lerp([weights], [target], 0.25);
          return { before, after: tf.mul(tf.reshape(weights, [2048]), 2) };
        });
      const compiled = engine.compile(stepOf(other));
      const x = toTensor<tf.Rank.R2>(factor);
      for (let call = 0; call < 8; call++) {
        tf.tidy(() => {
          const [expected, actual] = [stepOf(plain)({ x }), compiled({ x })];
          for (const name of ['before', 'after'] as const) {
            expectClose(actual[name], { shape: expected[name].shape, data: Float64Array.from(expected[name].dataSync()) }, 1e-5);
          }
        });
      }
      tf.dispose([plain, other, target, x]);
    });
  });

  describe('precision bf16', () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine('torch', { precision: 'bf16' });
    });
    afterAll(() => engine.dispose());

    /** Seven bits of mantissa and no better: a result that float32 would give is not one of bfloat16. */
    function expectRounded(actual: tf.Tensor, expected: Array64): void {
      expectClose(actual, expected, 2e-2);
      expect(() => expectClose(actual, expected, 1e-5)).toThrow();
    }

    const convolve = (x: tf.Tensor, filter: tf.Tensor): tf.Tensor => tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, 1);

    test('convolutions and their gradients', () => {
      const random = new Random(31);
      const [x, filter, dy] = [normal(random, [2, 7, 6, 8]), normal(random, [3, 3, 8, 12]), normal(random, [2, 7, 6, 12])];
      const expected = convolution(x, filter, dy, { stride: 1, padTop: 1, padLeft: 1 });
      tf.tidy(() => {
        const y = convolve(toTensor(x), toTensor(filter));
        expect(y.dtype).toBe('float32');
        expect(y.dataSync()).toBeInstanceOf(Float32Array);
        expectRounded(y, expected.y);
        const [dx, dFilter] = tf.grads(convolve)([toTensor(x), toTensor(filter)], toTensor(dy)) as [tf.Tensor, tf.Tensor];
        expectRounded(dx, expected.dx);
        expectRounded(dFilter, expected.dFilter);
      });
    });

    // oneDNN's kernel for it reads memory that nobody wrote, so that the gradient depends on what was computed before.
    test('the gradient of a filter over images narrower than its stride', () => {
      const random = new Random(36);
      const [x, filter, dy] = [normal(random, [72, 1, 1, 32]), normal(random, [3, 3, 32, 64]), normal(random, [72, 1, 1, 64])];
      const expected = convolution(x, filter, dy, { stride: 2, padTop: 1, padLeft: 1 });
      for (let repetition = 1; repetition <= 20; repetition++) {
        tf.tidy(() => {
          // What this leaves in memory differs each time.
          for (const size of [100, 977, 4000]) tf.mul(tf.ones([size * repetition]), repetition % 2 === 0 ? NaN : 1e6);
          const images = tf.add(toTensor(x), 0) as tf.Tensor4D;
          const run = (weights: tf.Tensor): tf.Tensor => tf.conv2d(images, weights as tf.Tensor4D, 2, 1);
          expectClose(tf.grad(run)(toTensor(filter), tf.add(toTensor(dy), 0)), expected.dFilter, 2e-2);
        });
      }
    });

    test('matrix products and their gradients', () => {
      const random = new Random(32);
      const [a, b, dy] = [normal(random, [9, 64]), normal(random, [64, 20]), normal(random, [9, 20])];
      tf.tidy(() => {
        const run = (p: tf.Tensor, q: tf.Tensor): tf.Tensor => tf.matMul(p, q);
        expectRounded(run(toTensor(a), toTensor(b)), product(a, b));
        const [da, db] = tf.grads(run)([toTensor(a), toTensor(b)], toTensor(dy)) as [tf.Tensor, tf.Tensor];
        expectRounded(da, product(dy, transpose(b)));
        expectRounded(db, product(transpose(a), dy));
      });
    });

    // As losses are float32 in all precisions.
    testSimilarities(() => engine);

    // Operands are kept as bfloat16 between uses: what changes a variable has to drop that copy.
    test('convolutions see a variable that lerp, sgd or assign has changed', () => {
      const random = new Random(33);
      const [x, start, goal] = [normal(random, [1, 5, 5, 4]), normal(random, [3, 3, 4, 6]), normal(random, [3, 3, 4, 6])];
      const filter = variable(start);
      const velocity = variable(zeros(start.shape));
      tf.tidy(() => {
        const input = toTensor(x);
        const expectSeen = (): void =>
          expect(values(convolve(input, filter))).toEqual(values(convolve(input, tf.tensor(filter.dataSync(), filter.shape))));
        const before = values(convolve(input, filter));
        engine.lerp([filter], [toTensor(goal)], 1);
        expect(values(filter)).toEqual(values(toTensor(goal)));
        expectSeen();
        engine.sgd([filter], [toTensor(start)], [velocity], { learningRate: tf.scalar(0.5), momentum: 0.9, weightDecay: 0 });
        expectSeen();
        filter.assign(toTensor(start));
        expect(values(convolve(input, filter))).toEqual(before);
      });
      tf.dispose([filter, velocity]);
    });

    test('a recorded step sees its variables change, whatever has used them between calls', () => {
      const random = new Random(38);
      const filter = variable(normal(random, [3, 3, 8, 8]));
      const x = toTensor(normal(random, [2, 5, 5, 8]));
      const target = toTensor(normal(random, [3, 3, 8, 8]));
      const step = engine.compile(({ images }: { images: tf.Tensor }) =>
        tf.tidy(() => {
          const y = convolve(images, filter);
          engine.lerp([filter], [target], 0.25);
          return { y };
        }),
      );
      for (let call = 1; call <= 6; call++) {
        tf.tidy(() => {
          const expected = convolve(x, filter);
          const { y } = step({ images: x });
          expectClose(y, { shape: y.shape, data: Float64Array.from(expected.dataSync()) }, 0);
        });
      }
      tf.dispose([filter, x, target]);
    });

    test('products see a queue that keys were put into', () => {
      const random = new Random(34);
      const queue = variable(normal(random, [8, 16])) as tf.Variable<tf.Rank.R2>;
      tf.tidy(() => {
        const logits = (keys: tf.Tensor): number[] => values(tf.matMul(toTensor(normal(new Random(35), [3, 16])), keys, false, true));
        const before = logits(queue);
        engine.enqueue(queue, toTensor(normal(random, [4, 16])), tf.scalar(4, 'int32'));
        expect(logits(queue)).not.toEqual(before);
        expect(logits(queue)).toEqual(logits(tf.tensor(queue.dataSync(), queue.shape)));
      });
      queue.dispose();
    });
  });

  describe('LibTorch behind TensorFlow.js', () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine('torch');
    });
    afterAll(() => engine.dispose());

    const held = (): number => (tf.backend() as TorchBackend).torch.addon.memory().tensors;

    test('a GPU that is not there: the error says what is', async () => {
      const have = engine.device === 'cpu' ? /: no GPU can be used, .+; expected cpu$/ : /: expected cpu, cuda:0 \(.+\)/;
      for (const device of engine.device === 'cpu' ? ['cuda', 'cuda:99'] : ['cuda:99']) {
        await expect(selectEngine('torch', { device })).rejects.toThrow(`device "${device}"`);
        await expect(selectEngine('torch', { device })).rejects.toThrow(have);
      }
    });

    test('shapes that do not fit: the error has the operator and the shapes', () => {
      const attributes = { strides: [1, 1], pad: 'same', dataFormat: 'NHWC', dilations: [1, 1] };
      tf.tidy(() => {
        const run = (kernel: string, inputs: Record<string, tf.Tensor>, attrs = {}) => tf.engine().runKernel(kernel, inputs, attrs);
        const [a, b] = [tf.ones([2, 3]), tf.ones([4, 5])];
        expect(() => run('Add', { a, b })).toThrow(/^aten::add\.Tensor: .*\(on Float \[2, 3\], Float \[4, 5\]\)$/);
        expect(() => run('BatchMatMul', { a, b }, { transposeA: false, transposeB: false })).toThrow(
          /^detco::matmul: .*\(on Float \[2, 3\], Float \[4, 5\]\)$/,
        );
        const [x, filter] = [tf.ones([1, 8, 8, 3]), tf.ones([3, 3, 4, 4])];
        expect(() => run('Conv2D', { x, filter }, attributes)).toThrow(
          /^detco::conv2d: .*\(on Float \[1, 8, 8, 3\], Float \[3, 3, 4, 4\]\)$/,
        );
        expect(() => tf.conv2d(tf.ones<tf.Rank.R4>([1, 2, 2, 3]), tf.ones<tf.Rank.R4>([5, 5, 3, 4]), 1, 'valid')).toThrow(
          /^detco::conv2d: .*\(on Float \[1, 2, 2, 3\], Float \[5, 5, 3, 4\]\)$/,
        );
      });
    });

    test('strings are held, reshaped and read, not computed with', async () => {
      const strings = tf.tensor1d(['a', 'b']);
      const reshaped = tf.reshape(strings, [2, 1]);
      expect(await reshaped.data()).toEqual(['a', 'b']);
      expect(() => tf.engine().runKernel('Add', { a: strings, b: strings })).toThrow(
        'string tensors can be held and read by the torch engine, not computed with',
      );
      tf.dispose([strings, reshaped]);
    });

    test('a tensor that was disposed of cannot be used', () => {
      const tensor = tf.ones([3]);
      const { dataId, shape, dtype } = tensor;
      tensor.dispose();
      expect(() => tensor.dataSync()).toThrow('Tensor is disposed');
      expect(() => tf.add(tensor, 1)).toThrow('disposed of');
      expect(() => (tf.backend() as TorchBackend).held({ dataId, shape, dtype })).toThrow('a tensor is used after it was disposed of');
    });

    test('tf.time and tf.profile measure kernels', async () => {
      const work = () => tf.tidy(() => tf.sum(tf.add(tf.ones([64, 64]), 1)).dispose());
      const { kernelMs, wallMs } = await tf.time(work);
      expect(kernelMs).toBeGreaterThan(0);
      expect(wallMs).toBeGreaterThanOrEqual(kernelMs as number);
      const { kernels, newTensors } = await tf.profile(() => work() as unknown as tf.TensorContainer);
      expect(newTensors).toBe(0);
      expect(kernels.map(({ name }) => name)).toEqual(expect.arrayContaining(['Add', 'Sum']));
      for (const { kernelTimeMs } of kernels) expect(await kernelTimeMs).toBeGreaterThan(0);
    });

    test('views copy nothing', () => {
      const [many, few] = [2 ** 20, 2 ** 10];
      tf.tidy(() => {
        // 4 TiB, if they were there.
        const vast = tf.tile(tf.tensor2d([[3]]), [many, many]);
        const [, right] = tf.split(vast, 2, 1) as [tf.Tensor, tf.Tensor];
        const [, , row] = tf.unstack(tf.slice(vast, [0, 0], [4, -1])) as [tf.Tensor, tf.Tensor, tf.Tensor];
        for (const view of [tf.clone(vast), tf.transpose(vast), right]) expect(values(tf.slice(view, [5, 7], [1, 2]))).toEqual([3, 3]);
        expect(values(tf.slice(tf.reshape(vast, [few, few, many]), [5, 7, 1], [1, 1, 2]))).toEqual([3, 3]);
        expect(values(tf.slice(row as tf.Tensor1D, 9, 2))).toEqual([3, 3]);
      });
    });

    test('a recorded step that cannot be replayed rightly: the error says why, and work goes on', async () => {
      const held = variable({ shape: [2], data: Float64Array.of(1, 2) });
      const weight = tf.zeros([2]);
      const sharing: tf.Tensor[] = [];
      const shared = engine.compile(({ x }: { x: tf.Tensor }) => {
        engine.lerp([held], [weight], 0.5);
        if (sharing.length < 2) sharing.push(tf.clone(held));
        return { y: tf.add(x, held) };
      });
      const reads = engine.compile(({ x }: { x: tf.Tensor }) => ({ y: tf.mul(x, x.dataSync()[0] ?? 0) }));
      let answer: Promise<unknown> | undefined;
      const readsLater = engine.compile(({ x }: { x: tf.Tensor }) => {
        answer = x.data().catch(({ message }: Error) => message);
        return { y: tf.add(x, 1) };
      });
      const moving = variable({ shape: [2], data: Float64Array.of(1, 2) });
      const assigns = engine.compile(({ x }: { x: tf.Tensor }) =>
        tf.tidy(() => {
          moving.assign(tf.add(moving, x));
          return { y: tf.add(x, 1) };
        }),
      );
      const foreign = engine.compile<{ x: tf.Tensor }, { y: tf.Tensor }>(() => ({ y: weight }));
      const cloned = engine.compile<{ x: tf.Tensor }, { y: tf.Tensor }>(() => ({ y: tf.clone(weight) }));
      const x = tf.ones([2]);
      expect(() => foreign({ x })).toThrow('gives "y", a tensor [2] which it did not make');
      for (const [step, message] of [
        [shared, 'shares its data with a clone or a view'],
        [reads, 'a compiled step reads a tensor'],
        [assigns, 'of shape [2] was assigned in a compiled step'],
        // A graph copies what it gives, also this.
        ...(engine.device === 'cpu' ? ([[cloned, 'which it did not make']] as const) : []),
      ] as const) {
        for (let call = 1; call <= 2; call++) tf.dispose(step({ x }));
        const { numTensors } = tf.memory();
        expect(() => step({ x })).toThrow(message);
        expect(tf.memory().numTensors).toBe(numTensors);
      }
      for (let call = 1; call <= 3; call++) tf.dispose(readsLater({ x }));
      expect(await answer).toContain('a compiled step reads a tensor');
      expect(values(tf.add(x, x))).toEqual([2, 2]);
    });

    test('what a compiled step holds is let go with it, also where the step leads to what was made of it', async () => {
      const { addon } = (tf.backend() as TorchBackend).torch;
      // A program of the CPU holds the variables, whose memory is kept for reuse afterwards; a graph of a GPU holds copies of the inputs.
      const free = (): number => {
        const { cachedBytes = 0, allocatedBytes = 0 } = addon.memory();
        return cachedBytes - allocatedBytes;
      };
      const large = 2 ** 24;
      const trainer = () => {
        const weights = variable(zeros([large]));
        const self = { run: ({ x }: { x: tf.Tensor }) => ({ y: tf.sum(x) as tf.Tensor }), calls: 0 };
        self.run = engine.compile(({ x }: { x: tf.Tensor }) => {
          self.calls++;
          return { y: tf.add(tf.sum(x), tf.sum(weights)) };
        });
        tf.tidy(() => {
          for (let call = 1; call <= 4; call++) expect(values(self.run({ x: tf.ones([large]) }).y)).toEqual([large]);
        });
        expect(self.calls).toBe(3);
        weights.dispose();
      };
      trainer();
      const before = free();
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      for (let turn = 0; turn < 100 && free() - before < large * 4; turn++) {
        collect();
        await setImmediate();
      }
      expect(free() - before).toBeGreaterThanOrEqual(large * 4);
    });

    test('what is left of an engine that was disposed of frees nothing of the next', async () => {
      const left = variable({ shape: [3], data: Float64Array.of(1, 2, 3) });
      const step = engine.compile(({ x }: { x: tf.Tensor }) => ({ y: tf.add(x, x) }));
      await engine.dispose();
      const [first, second] = await Promise.allSettled([selectEngine('torch'), selectEngine('torch')]);
      if (first.status === 'fulfilled') engine = first.value;
      expect([first.status, second]).toMatchObject(['fulfilled', { reason: { message: expect.stringContaining('dispose of it first') } }]);
      const fresh = [1, 2, 3, 4].map((value) => toTensor({ shape: [1], data: Float64Array.of(value) }));
      left.dispose();
      expect(fresh.map((tensor) => values(tensor)[0])).toEqual([1, 2, 3, 4]);
      for (let call = 1; call <= 2; call++) expect(values(step({ x: fresh[0] as tf.Tensor }).y)).toEqual([2]);
      expect(() => step({ x: fresh[0] as tf.Tensor })).toThrow('after its engine was disposed of');
      tf.dispose(fresh);
    });

    test('frees what work has made, also where it fails', () => {
      const random = new Random(41);
      const filter = variable(normal(random, [3, 3, 4, 8]));
      const velocity = variable(zeros(filter.shape));
      const average = variable(zeros(filter.shape));
      const queue = variable(normal(random, [16, 8])) as tf.Variable<tf.Rank.R2>;
      const work = () =>
        tf.tidy(() => {
          const [x, keys] = [toTensor(normal(random, [4, 6, 6, 4])), toTensor<tf.Rank.R2>(normal(random, [4, 8]))];
          const [scale, offset] = [tf.ones([8]), tf.zeros([8])];
          const loss = (weights: tf.Tensor): tf.Scalar => {
            const y = tf.maxPool(tf.conv2d(x as tf.Tensor4D, weights as tf.Tensor4D, 1, 'same'), 3, 2, 1);
            const normalised = engine.groupedBatchNorm(y, scale, offset, { groups: 2, epsilon: 1e-5, relu: true }).y;
            return engine.infoNce(tf.mean(normalised, [1, 2]) as tf.Tensor2D, keys, queue, 0.2);
          };
          const gradient = tf.grad(loss)(filter);
          engine.sgd([filter], [gradient], [velocity], { learningRate: tf.scalar(0.1), momentum: 0.9, weightDecay: 1e-4 });
          engine.lerp([average], [filter], 0.1);
          engine.enqueue(queue, keys, tf.scalar(4, 'int32'));
          engine.scatterRows(queue, keys, tf.tensor1d([3, 9, 1, 0], 'int32'));
          expect(() => tf.engine().runKernel('Add', { a: tf.ones([2]), b: tf.ones([3]) })).toThrow('aten::add');
        });
      work();
      const [before, tensors] = [held(), tf.memory().numTensors];
      work();
      expect({ held: held(), tensors: tf.memory().numTensors }).toEqual({ held: before, tensors });
      tf.dispose([filter, velocity, average, queue]);
    });
  });
});
