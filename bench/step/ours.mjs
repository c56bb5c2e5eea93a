/**
 * One measurement of the trainer's own update in a process of its own. Takes its options as JSON in the first argument; prints one
 * JSON line. Views are deterministic bytes that stay where they are, so what is timed is all of an update but its data: upload, momentum
 * update, keys, queries, backward, SGD, enqueue, and the loss read back.
 */
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '../../dist/engine/index.js';
import { methodKind, methodOptions } from '../../dist/model/index.js';
import { createTrainStep } from '../../dist/train/step.js';
import { sgd } from '../../dist/train/optimizer/sgd.js';
import { timeKernels } from './kernels.mjs';

const {
  engine: name,
  precision,
  device,
  threads,
  arch,
  batch,
  globalSize,
  patchSize,
  queueSize,
  steps,
  warmUp,
  graph,
  eager,
  kernels,
} = JSON.parse(process.argv[2]);

const engine = await selectEngine(name, { precision, device, ...(threads === undefined ? {} : { threads }) });
const asItIs = (step) => step;
// A step that was captured runs no JavaScript: neither do kernels tell their times.
if (!graph || kernels) engine.compile = asItIs;
const times = kernels ? timeKernels(engine) : undefined;
const method = methodKind('detco').create(engine, methodOptions({ name: 'detco', arch, queueSize, keyMomentum: 0.9, bnGroups: 1 }), 0);
const optimizer = sgd(engine, method.parameters, { momentum: 0.9, weightDecay: 1e-4 });
const update = { engine, method, optimizer };

const global = [batch, globalSize, globalSize, 3];
const patches = [batch, 9, patchSize, patchSize, 3];
const input = {
  epoch: 0,
  step: 0,
  size: batch,
  samples: [],
  views: { globalQ: view(global, 1), globalK: view(global, 2), patchesQ: view(patches, 3), patchesK: view(patches, 4) },
  retain: () => {},
  release: () => {},
};

// First: the memory that a recorded graph holds is its own, and these updates would need theirs beside it.
let withoutGraph;
if (eager && engine.device !== 'cpu') {
  const { compile } = engine;
  engine.compile = asItIs;
  withoutGraph = await measure(2);
  engine.compile = compile;
}
const measured = await measure(warmUp);
const memory = engine.device === 'cpu' ? undefined : tf.backend().torch?.addon.memory();
console.log(
  JSON.stringify({
    engine: engine.description,
    device: engine.device,
    precision: engine.precision,
    // What the engine told OpenBLAS, if anything.
    openblasCore: process.env.OPENBLAS_CORETYPE,
    ...measured,
    ...(withoutGraph && { eagerStepMs: withoutGraph.stepMs }),
    // KiB on every platform.
    peakRssMB: process.resourceUsage().maxRSS / 1024,
    // The most that tensors took on the device, and what was taken of it for them: as PyTorch's max_memory_allocated and _reserved.
    ...(memory && { peakDeviceMB: memory.peakBytes / 2 ** 20, peakDeviceReservedMB: memory.reservedBytes / 2 ** 20 }),
    tensors: tf.memory().numTensors,
    ...(times && { kernels: times.rows(steps) }),
  }),
);
await engine.dispose();

/** Milliseconds of updates after those that warm up, and the last loss. */
async function measure(before) {
  const trainStep = createTrainStep(update);
  const all = [];
  let loss;
  let staged = await trainStep.stage(input);
  for (let step = 0; step < before + steps; step++) {
    if (step === before) times?.reset();
    const start = performance.now();
    // The peer's rate, at which random images do not diverge.
    const running = trainStep.run(staged, { step, progress: 0, learningRate: 5e-4 });
    // As the trainer does: the next batch is uploaded while a device computes.
    staged = await trainStep.stage(input);
    ({ loss } = await running);
    all.push(performance.now() - start);
  }
  tf.dispose(staged.tensors);
  return { loss, stepMs: all.slice(before), warmUpMs: all.slice(0, before) };
}

/** uint8 noise in shared memory, where a pipeline's batches are. */
function view(shape, seed) {
  const data = new Uint8Array(new SharedArrayBuffer(shape.reduce((size, length) => size * length)));
  // The linear congruential generator of Numerical Recipes.
  for (let i = 0, state = seed; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state >>> 24;
  }
  return { data, shape };
}
