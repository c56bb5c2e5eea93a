/** Engine `tensorflow`: TensorFlow through tfjs-node's addon and kernels, with the training kernels it lacks. */
import { counted } from '../../common/counted.js';
import { findBackend, ready, registerBackend, removeBackend, setBackend, version_core } from '@tensorflow/tfjs-core';
import { checkKeys, checkOrdinals, checkPairs, checkPointer, checkRows, checkScalar, checkUpload, resolveOptions } from '../check.js';
import type { Engine, EngineOptions } from '../engine.js';
import { alone, refuseCompany } from '../ranks.js';
import { registerMeanGradient } from '../gradients.js';
import { compositions } from '../operations/index.js';
import { lerp } from '../operations/lerp.js';
import type { Unavailable } from '../native/unavailable.js';
import { groupedBatchNorm, registerGroupedBatchNormGradient } from '../operations/grouped-batch-norm.js';
import { openContext } from './context.js';
import type { Context } from './context.js';
import type { NodeBackend } from './binding.js';
import { TrackedBinding } from './tracked.js';
import { inspectTensorFlow } from './load.js';
import { registerNorm } from './norm.js';
import { readLater } from './read.js';
import { BACKEND } from './register.js';
import { enqueue, lerp as lerpInPlace, scatterRows, sgd } from './update.js';
import { upload } from './upload.js';
import { registerWindows } from './windows.js';

/** Why the engine cannot run here, or undefined. */
export async function unavailable(): Promise<Unavailable | undefined> {
  return inspectTensorFlow();
}

export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const resolved = resolveOptions(options);
  refuseCompany('tensorflow', resolved.company);
  assertAlone();
  const context = await openContext(resolved);
  const backend = context.tensorflow.createBackend();
  const tracked = new TrackedBinding(context.tensorflow.binding);
  backend.binding = tracked.binding;
  backend.read = readLater(backend);
  // Another call may have come this far meanwhile.
  assertAlone();
  registerBackend(BACKEND, () => backend);
  registerWindows();
  registerNorm();
  registerGroupedBatchNormGradient();
  registerMeanGradient();
  if (!(await setBackend(BACKEND))) {
    removeBackend(BACKEND);
    throw new Error('the tensorflow backend does not start: see "detco doctor"');
  }
  await ready();
  return tensorflowEngine(context, backend, tracked);
}

/** @throws when the name by which tfjs-node's kernels find their backend is taken */
function assertAlone(): void {
  if (findBackend(BACKEND) === null) return;
  throw new Error(
    "a backend named tensorflow is registered already: by detco's engine (dispose of it first: Engine.dispose), " +
      'or by an import of @tensorflow/tfjs-node (leave that out)',
  );
}

function tensorflowEngine(context: Context, backend: NodeBackend, tracked: TrackedBinding): Engine {
  const { tensorflow, device, precision, threads } = context;
  const place = device === 'cpu' ? `CPU, ${counted(threads, 'thread')}, fp32` : `${device}, ${precision}`;
  return {
    name: 'tensorflow',
    description: `tensorflow: TensorFlow.js ${version_core} over TensorFlow ${tensorflow.binding.TF_Version}, ${place}`,
    precision,
    device,
    ranks: alone,
    ...compositions,
    groupedBatchNorm,

    upload(bytes, shape, as = 'normalised') {
      checkUpload(bytes, shape);
      return upload(backend, bytes, shape, as);
    },

    sgd(parameters, gradients, velocities, sgdOptions) {
      checkPairs('gradients', parameters, gradients);
      checkPairs('velocities', parameters, velocities);
      checkScalar('learning rate', sgdOptions.learningRate, 'float32');
      sgd(backend, parameters, gradients, velocities, sgdOptions);
    },

    lerp: lerp((targets, sources, weight) => lerpInPlace(backend, targets, sources, weight)),

    enqueue(queue, keys, pointer) {
      checkKeys(queue, keys, pointer);
      // Integers lie on the host: nothing is waited for.
      const [first = Number.NaN] = pointer.dataSync();
      checkPointer(queue, keys, first);
      enqueue(backend, queue, keys, first);
    },

    scatterRows(bank, rows, ordinals) {
      checkRows(bank, rows, ordinals);
      checkOrdinals(bank, ordinals.dataSync());
      scatterRows(backend, bank, rows, ordinals);
    },

    // TensorFlow's eager mode has nothing to record.
    compile: (step) => step,

    async dispose() {
      removeBackend(BACKEND);
      tracked.clear();
    },
  };
}
