/**
 * Engine `wasm`: the TensorFlow.js WebAssembly backend (XNNPACK, SIMD, one thread) and the training kernels it lacks.
 * It needs nothing but npm and runs on any machine.
 */
import { engine, findBackendFactory, ready, registerBackend, removeBackend, setBackend, version_core } from '@tensorflow/tfjs-core';
import type { Tensor, TensorInfo, Variable } from '@tensorflow/tfjs-core';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { Engine, EngineOptions } from '../engine.js';
import { alone, refuseCompany } from '../ranks.js';
import { registerMeanGradient } from '../gradients.js';
import { compositions } from '../operations/index.js';
import { lerp } from '../operations/lerp.js';
import { groupedBatchNorm, registerGroupedBatchNormGradient } from '../operations/grouped-batch-norm.js';
import { IMAGE_MEAN, IMAGE_STD } from '../images.js';
import { checkKeys, checkOrdinals, checkPairs, checkPointer, checkRows, checkScalar, checkUpload, resolveOptions } from '../check.js';
import { registerConvolutions } from './conv.js';
import { registerExponential } from './exponential.js';
import { Heap, findKernels } from './heap.js';
import { registerIdentity } from './identity.js';
import { registerMatMul } from './matmul.js';
import { registerNorm } from './norm.js';
import { registerPooling } from './pool.js';
import { registerGather } from './gather.js';

const BACKEND = 'wasm';
const FLOAT = 4;

/** Why the engine cannot run here, or undefined. */
export async function unavailable(): Promise<{ reason: string; remedy: string } | undefined> {
  return (await findKernels()) !== undefined
    ? undefined
    : {
        reason: `Node ${process.versions.node} runs WebAssembly without SIMD here`,
        remedy: 'run Node without --jitless and --no-wasm flags',
      };
}

/** @throws unless the options are what one WebAssembly thread can do. */
function refuse(options: EngineOptions): void {
  const { precision, device, threads = 1, company } = resolveOptions(options);
  refuseCompany('wasm', company);
  if (precision !== 'fp32') throw new Error(`precision "${precision}": engine wasm computes in fp32 alone; use engine torch, or fp32`);
  if (device !== 'cpu' && device !== 'auto') {
    throw new Error(`device "${device}": engine wasm runs on the CPU alone, expected cpu or auto; use engine torch for GPUs`);
  }
  if (threads !== 1) throw new Error(`threads ${threads}: engine wasm runs on one thread alone; use engine torch, or leave threads out`);
}

export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  refuse(options);
  await import('@tensorflow/tfjs-backend-wasm');
  if (!(await setBackend(BACKEND))) throw new Error('the TensorFlow.js WebAssembly backend does not start here: see "detco doctor"');
  await ready();
  const heap = await Heap.create(engine().backend as BackendWasm);
  registerIdentity(heap);
  registerConvolutions(heap);
  registerMatMul(heap);
  registerPooling(heap);
  registerNorm(heap);
  registerExponential(heap);
  registerGather(heap);
  registerGroupedBatchNormGradient();
  registerMeanGradient();
  return wasmEngine(heap);
}

function wasmEngine(heap: Heap): Engine {
  const { kernels } = heap;
  const asTensor = (info: TensorInfo): Tensor => engine().makeTensorFromTensorInfo(info);

  return {
    name: 'wasm',
    description: `wasm: TensorFlow.js ${version_core} WebAssembly with SIMD${heap.fused ? ' and fused multiply-adds' : ''}, one thread`,
    precision: 'fp32',
    device: 'cpu',
    ranks: alone,
    ...compositions,
    groupedBatchNorm,

    upload(bytes, shape, as = 'normalised') {
      checkUpload(bytes, shape);
      const out = heap.output(shape);
      const address = heap.address(out);
      // The bytes wait in the last quarter of the output, which the kernel fills from the front.
      const waiting = address + bytes.length * (FLOAT - 1);
      heap.write(waiting, bytes);
      const normalised = as === 'normalised';
      const [factorR, factorG, factorB] = IMAGE_STD.map((std) => (normalised ? 1 / (255 * std) : 1)) as [number, number, number];
      const [shiftR, shiftG, shiftB] = IMAGE_MEAN.map((mean, c) => (normalised ? -mean / (IMAGE_STD[c] ?? 1) : 0)) as [
        number,
        number,
        number,
      ];
      kernels.normaliseImages(waiting, bytes.length, address, factorR, factorG, factorB, shiftR, shiftG, shiftB);
      return asTensor(out);
    },

    sgd(parameters, gradients, velocities, { learningRate, momentum, weightDecay }) {
      checkPairs('gradients', parameters, gradients);
      checkPairs('velocities', parameters, velocities);
      checkScalar('learning rate', learningRate, 'float32');
      const [rate = Number.NaN] = learningRate.dataSync();
      parameters.forEach((parameter, i) => {
        const velocity = velocities[i] as Variable;
        const p = heap.own(parameter);
        const v = heap.own(velocity);
        kernels.sgd(p, heap.address(gradients[i] as Tensor), v, parameter.size, rate, momentum, weightDecay);
        heap.changed(parameter);
        heap.changed(velocity);
      });
    },

    lerp: lerp((targets, sources, weight) => {
      targets.forEach((target, i) => {
        const address = heap.own(target);
        kernels.lerp(address, heap.address(sources[i] as Tensor), target.size, weight);
        heap.changed(target);
      });
    }),

    enqueue(queue, keys, pointer) {
      checkKeys(queue, keys, pointer);
      const [first = Number.NaN] = pointer.dataSync();
      checkPointer(queue, keys, first);
      const row = queue.shape[1] * FLOAT;
      const address = heap.own(queue);
      heap.copy(address + first * row, heap.address(keys), keys.size * FLOAT);
      heap.changed(queue);
    },

    scatterRows(bank, rows, ordinals) {
      checkRows(bank, rows, ordinals);
      const places = ordinals.dataSync();
      checkOrdinals(bank, places);
      const row = bank.shape[1] * FLOAT;
      const address = heap.own(bank);
      const from = heap.address(rows);
      places.forEach((place, i) => heap.copy(address + place * row, from + i * row, row));
      heap.changed(bank);
    },

    // There is no device apart from the thread that runs the step: nothing to capture.
    compile: (step) => step,

    async dispose() {
      const factory = findBackendFactory(BACKEND);
      removeBackend(BACKEND);
      registerBackend(BACKEND, factory);
    },
  };
}
