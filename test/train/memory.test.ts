/** Training that does not fit into memory: allocations that no machine can grant. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { METHOD_NAMES, METHOD_PRESETS, methodKind } from '#dist/model/index.js';
import type { Batch } from '#dist/pipeline/index.js';
import { resolveConfig } from '#dist/train/config.js';
import { trainLoop } from '#dist/train/loop.js';
import { assertStateFits, explainOutOfMemory } from '#dist/train/memory.js';
import { createOptimizer } from '#dist/train/optimizer/index.js';
import { sgd } from '#dist/train/optimizer/sgd.js';
import { Outlook } from '#dist/train/outlook.js';
import { RunDirectory } from '#dist/train/run-directory.js';
import { whereAvailable } from '../engine/available.js';

const BATCH = 4;
/** What an engine says of 2^50 bytes: LibTorch in GiB where a GPU is asked, TensorFlow the shape. */
const REFUSALS = {
  torch: /out of memory.*(1125899906842624 bytes|1048576\.00 GiB)/is,
  tensorflow: /OOM when allocating tensor with shape\[1048576,268435456\]/,
} as const;

function allocateTooMuch(): void {
  tf.add(tf.broadcastTo(tf.scalar(1), [2 ** 20, 2 ** 28]), 1);
}

function caught(body: () => void): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('what engines say when memory runs out', () => {
  test.each([
    'CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 3.40 GiB is free.',
    'CUDA error: out of memory',
    'out of memory: asked for 1125899906842624 bytes',
    "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes.",
    'Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[64,112,112,64] and type float on /job:localhost/GPU:0',
    'Invalid TF_Status: 8\nMessage: Failed to allocate request for 2.00GiB on device ordinal 0',
    'Invalid TF_Status: 13\nMessage: Failed copying input tensor from CPU:0 to GPU:0 in order to run Cast: Dst tensor is not initialized.',
  ])('%j', (message) => {
    const cause = new Error(message);
    const explained = explainOutOfMemory(cause, { batch: 256, step: 7 });
    const expected = `A batch of 256 does not fit into memory after step 7: ${message}; start another run with --batch 128`;
    expect(explained).toMatchObject({ message: expected, cause });
    expect(explainOutOfMemory(cause, { batch: 1, step: 0 })).toMatchObject({
      message: expect.stringMatching(
        /; start another run with smaller images \(recipe\.globalSize\) or a smaller network \(method\.arch\)$/,
      ),
    });
  });

  test('of WebAssembly, which other engines are not held to', async () => {
    const engine = await selectEngine('wasm');
    const error = caught(allocateTooMuch);
    await engine.dispose();
    expect(explainOutOfMemory(error, { batch: 256, step: 7 })).toMatchObject({
      message: expect.stringMatching(
        /^A batch of 256 does not fit into memory after step 7: no room for 1125899906842624 bytes .* at most 4 GiB, .*; start another run with --batch 128, or on another engine: npx detco doctor shows which there are$/,
      ),
      cause: error,
    });
  });

  test.each(['Incompatible shapes: [2] vs. [3]', 'Invalid TF_Status: 3\nMessage: Incompatible shapes', 'Invalid TF_Status: 80'])(
    'not: %j',
    (message) => {
      const error = new Error(message);
      expect(explainOutOfMemory(error, { batch: 256, step: 7 })).toBe(error);
    },
  );
});

describe.each(METHOD_NAMES)('a network of %s', (name) => {
  const presets = Object.entries(METHOD_PRESETS).flatMap(([preset, { method }]) => (method.name === name ? [preset] : []));
  const wasm = { name: 'wasm', device: 'cpu' } as const;

  test('that is larger than the memory is refused before it is made, but on a GPU, which is asked', () => {
    const config = resolveConfig({ shards: ['none.tar'], preset: presets[0] ?? '', method: { width: 8192 } });
    expect(() => assertStateFits(config, wasm)).toThrow(
      /^method\.arch resnet50 with method\.width 8192: its networks and the optimizer's velocities take [\d.]+ TB, and there are .*B of memory; use a smaller method\.width/,
    );
    assertStateFits(config, { name: 'torch', device: 'cuda:0' });
  });

  test('is counted by what is made of it', async () => {
    const engine = await selectEngine('wasm');
    const { method: given, optimizer, batch } = resolveConfig({ shards: ['none.tar'], preset: presets.at(-1) ?? '' });
    const options = methodKind(name).forImages?.(given, batch) ?? given;
    const method = methodKind(name).create(engine, options, 0);
    const made = createOptimizer(engine, method.parameters, optimizer);
    const networks = Object.values(method.encoders).flatMap((section) => Array.from(method.sections[section] ?? []));
    const parameters = networks.filter(([tensor]) => !tensor.includes('.running_'));
    const bytes = 4 * [...parameters, ...made.state].reduce((sum, [, { size }]) => sum + size, 0);
    await engine.dispose();
    expect(methodKind(name).excess?.(options, { batch, bytes })).toBeUndefined();
    expect(methodKind(name).excess?.(options, { batch, bytes: bytes - 1 })).toContain("its networks and the optimizer's velocities take");
  });

  test.each(presets)('fits as %s has it', (preset) => {
    const { method: options, batch } = resolveConfig({ shards: ['none.tar'], preset });
    expect(methodKind(name).excess?.(options, { batch, bytes: 2 ** 32 })).toBeUndefined();
  });
});

for (const [name, refusal] of Object.entries(REFUSALS) as [keyof typeof REFUSALS, RegExp][]) {
  const where = await whereAvailable(name);
  where.describe(`out of memory, on the engine ${name}${where.note}`, () => testOutOfMemory(name, refusal));
}

function testOutOfMemory(name: keyof typeof REFUSALS, refusal: RegExp): void {
  let engine: Engine;
  let folder: string;
  let real: unknown;
  beforeAll(async () => {
    engine = await selectEngine(name);
    real = caught(allocateTooMuch);
    folder = await mkdtemp(join(tmpdir(), 'detco-memory-'));
  });
  afterAll(async () => {
    await engine.dispose();
    await rm(folder, { recursive: true });
  });

  test('the error has what was asked for, and is known', () => {
    const explained = explainOutOfMemory(real, { batch: 256, step: 7 });
    expect(explained).toMatchObject({ message: expect.stringMatching(refusal), cause: real });
  });

  test('another error stays as it is', () => {
    const error = caught(() => tf.engine().runKernel('Add', { a: tf.ones([2]), b: tf.ones([3]) }));
    expect(explainOutOfMemory(error, { batch: 256, step: 7 })).toBe(error);
  });

  /** TensorFlow takes ten seconds for its refusal: what it has said once is thrown again. */
  function refuse(): void {
    throw real;
  }

  async function* batches(): AsyncGenerator<Batch> {
    const view = (...shape: number[]) => ({ data: new Uint8Array(shape.reduce((product, length) => product * length, 1)), shape });
    const views = {
      globalQ: view(BATCH, 16, 16, 3),
      globalK: view(BATCH, 16, 16, 3),
      patchesQ: view(BATCH, 9, 8, 8, 3),
      patchesK: view(BATCH, 9, 8, 8, 3),
    };
    const state = { epoch: 0, step: 1, epochStart: 0, lanes: [] };
    yield { epoch: 0, step: 0, size: BATCH, samples: [], plans: {}, views, state, retain: () => {}, release: () => {} };
  }

  test.each<[string, Partial<Engine>, boolean]>([
    ['an upload', { upload: () => (refuse(), tf.scalar(0)) }, false],
    ['an update', { sgd: refuse }, false],
    ['an evaluation', {}, true],
  ])('stops a run in %s', async (what, broken, inEvaluation) => {
    const config = resolveConfig({
      preset: 'tiny',
      shards: ['none.tar'],
      batch: BATCH,
      method: { width: 4, dim: 8, queueSize: 16, bnGroups: 1 },
    });
    const method = methodKind(config.method.name).create(engine, config.method, 0);
    const run = await RunDirectory.create(join(folder, what.replaceAll(' ', '-')), config);
    const optimizer = sgd({ ...engine, ...broken }, method.parameters, { momentum: 0.9, weightDecay: 0 });
    const context = {
      config,
      configDigest: '',
      engine: { ...engine, ...broken },
      method,
      optimizer,
      batches: batches(),
      meters: () => ({ rssBytes: 0, queues: { compressed: 0, decoding: 0, decoded: 0, full: 0 } }),
      run,
      versions: {},
      hooks: {},
      outlook: new Outlook({ config, engine, images: undefined, hooks: {} }),
      ...(inEvaluation && { evaluate: async () => (refuse(), {}) }),
    };
    const failure = trainLoop(context, { step: 0, epoch: 0 });
    await expect(failure).rejects.toThrow(refusal);
    await expect(failure).rejects.toThrow(/^A batch of 4 does not fit into memory after step 0: .*; start another run with --batch 2$/s);
    await run.close();
    method.dispose();
    optimizer.dispose();
  });
}
