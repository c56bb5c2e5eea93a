/** Engine `torch`: TensorFlow.js over LibTorch, through the addon of native/torch. */
import { counted } from '../../common/counted.js';
import { availableParallelism } from 'node:os';
import { engine, findBackend, ready, registerBackend, removeBackend, setBackend, version_core } from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Company } from '../company.js';
import { alone } from '../ranks.js';
import { checkKeys, checkOrdinals, checkPairs, checkPointer, checkRows, checkScalar, checkUpload, resolveOptions } from '../check.js';
import type { Engine, EngineOptions } from '../engine.js';
import { registerMeanGradient } from '../gradients.js';
import { IMAGE_MEAN, IMAGE_STD } from '../images.js';
import { compositeAugment } from '../operations/augment.js';
import { infoNce } from '../operations/info-nce.js';
import { lerp } from '../operations/lerp.js';
import { checkPictures, packSteps, STEP_COLUMNS } from '../operations/picture-steps.js';
import { similarities } from '../operations/similarities.js';
import { groupedBatchNorm, registerGroupedBatchNormGradient } from '../operations/grouped-batch-norm.js';
import { ScalarType } from './addon.js';
import type { TorchAddon, TorchInfo } from './addon.js';
import { TorchBackend } from './backend.js';
import { capture } from './capture.js';
import { RANKS_REMEDY } from './commands.js';
import { openJpegDecoder } from './jpegs.js';
import { registerBinary } from './kernels/binary.js';
import { registerNetwork } from './kernels/network.js';
import { registerReductions } from './kernels/reduce.js';
import { registerShapes } from './kernels/shape.js';
import { registerTraining } from './kernels/training.js';
import { registerUnary } from './kernels/unary.js';
import { inspectNative, loadNative } from './native.js';
import { joinedRanks } from './ranks.js';
import { BACKEND } from './register.js';
import { Torch } from './torch.js';
import type { Ref } from './torch.js';

/** Why the engine cannot run here, or undefined. */
export async function unavailable(): Promise<{ reason: string; remedy: string } | undefined> {
  return inspectNative();
}

export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const { precision, device, threads = availableParallelism(), company } = resolveOptions(options);
  const addon = loadNative();
  const info = addon.info();
  const chosen = chooseDevice(device, info, company?.localRank);
  if (company) assertTransport(company, info, chosen);
  // Two would share the addon's device, and TensorFlow.js keeps one backend of a name.
  if (findBackend(BACKEND) !== null) throw new Error('an engine torch runs in this process already: dispose of it first (Engine.dispose)');
  addon.configure({ device: chosen, tf32: precision !== 'fp32', threads });
  const backend = new TorchBackend(new Torch(addon), precision, chosen);
  registerBackend(BACKEND, () => backend);
  registerUnary();
  registerBinary();
  registerReductions();
  registerShapes();
  registerNetwork();
  registerTraining();
  registerGroupedBatchNormGradient();
  registerMeanGradient();
  if (!(await setBackend(BACKEND))) throw new Error('the torch backend does not start: see "detco doctor"');
  await ready();
  if (company) await join(company, addon);
  return torchEngine(backend, addon, company);
}

/** Pixels of a picture's longer side that the kernel of augmentation takes: a line of it lies in a block's shared memory. */
const MOST_AUGMENTED = 1365;

/** Waits for a rank that is stuck: one that is gone is seen at once. */
const COLLECTIVE_MS = 10 * 60_000;

/** @throws where tensors of the device cannot pass between ranks */
function assertTransport({ size }: Company, { rankTransports }: TorchInfo, device: string): void {
  const [transport, name] = device === 'cpu' ? (['gloo', 'Gloo'] as const) : (['nccl', 'NCCL'] as const);
  if (rankTransports.includes(transport)) return;
  const what = `${size} ranks on ${device === 'cpu' ? 'CPUs' : 'GPUs'} need ${name}`;
  throw new Error(`${what}, which the addon was built without: ${RANKS_REMEDY[transport]}`);
}

/** Connects tensors of the device with those of the other ranks. */
async function join({ rank, size, attempt }: Company, addon: TorchAddon): Promise<void> {
  try {
    await addon.joinRanks(rank, size, `${attempt}/`, COLLECTIVE_MS);
  } catch (error) {
    removeBackend(BACKEND);
    throw error;
  }
}

/**
 * `auto`: the first GPU, of several ranks the one of each, else the CPU.
 *
 * @param localRank which of the ranks of the machine this is
 * @throws when a GPU is asked for and there is none of that number
 */
function chooseDevice(asked: string, { cudaDevices, cudaReason }: TorchInfo, localRank = 0): string {
  if (asked === 'cpu' || (asked === 'auto' && cudaDevices.length === 0)) return 'cpu';
  const index = Number(/^cuda:(\d+)$/.exec(asked)?.[1] ?? localRank);
  if (index < cudaDevices.length) return `cuda:${index}`;
  if (asked !== `cuda:${index}` && cudaDevices.length > 0)
    throw new Error(
      `rank ${index} of this machine, which has ${counted(cudaDevices.length, 'GPU')} that it can use: start one rank for each, or give --device cpu`,
    );
  const have = cudaDevices.map(({ name }, i) => `cuda:${i} (${name})`).join(', ');
  throw new Error(
    `device "${asked}": ${have === '' ? `no GPU can be used, ${cudaReason ?? 'none was found'}; expected cpu` : `expected cpu, ${have}`}`,
  );
}

function torchEngine(backend: TorchBackend, addon: TorchAddon, company: Company | undefined): Engine {
  const { torch, precision, device } = backend;
  const { version, threads, cudaDevices } = addon.info();
  const place =
    device === 'cpu' ? `CPU, ${counted(threads, 'thread')}` : `${device} ${cudaDevices[Number(device.slice('cuda:'.length))]?.name ?? ''}`;
  const constants = normalisation(torch);
  // Whatever is not handed out is freed, also where a kernel throws.
  const scope = <T>(body: () => T): T => torch.scope(body, () => []);
  const imageType = precision === 'bf16' ? ScalarType.bfloat16 : ScalarType.float32;
  const normalise = (bytes: Ref): Ref => torch.run('detco::normalise_images', bytes, ...constants, imageType);

  return {
    name: 'torch',
    description: `torch: TensorFlow.js ${version_core} over LibTorch ${version}, ${place}, ${precision}`,
    precision,
    device,
    ranks: company ? joinedRanks(backend, company, normalise) : alone,
    groupedBatchNorm,
    infoNce,
    similarities,

    augment(levels, steps) {
      checkPictures(levels, steps);
      if (backend.capturing)
        throw new Error(`augment of [${levels.shape}] inside a compiled step: replays would repeat these steps; make it an input`);
      const [, height, width] = levels.shape;
      if (Math.max(height, width) > MOST_AUGMENTED) return compositeAugment(levels, steps);
      const { values, rows, passes } = packSteps(steps, height, width);
      return scope(() => {
        const table = torch.upload(values, ScalarType.float64, [steps.length, rows, STEP_COLUMNS]);
        const done = torch.run('detco::augment', backend.tensor(levels), table, ...constants, passes, imageType);
        return backend.tensorOf(done, 'float32') as Tensor4D;
      });
    },

    openJpegDecoder: () => openJpegDecoder(backend),

    upload(bytes, shape, as = 'normalised') {
      checkUpload(bytes, shape);
      if (backend.capturing)
        throw new Error(`upload of [${shape}] inside a compiled step: replays would see these bytes; make it an input`);
      return scope(() => {
        const raw = torch.upload(bytes, ScalarType.uint8, shape);
        if (as === 'levels') return asTensor(backend.output(backend.cast(raw, ScalarType.float32), 'float32'));
        return asTensor(backend.output(normalise(raw), 'float32'));
      });
    },

    sgd(parameters, gradients, velocities, { learningRate, momentum, weightDecay }) {
      checkPairs('gradients', parameters, gradients);
      checkPairs('velocities', parameters, velocities);
      checkScalar('learning rate', learningRate, 'float32');
      scope(() => {
        const [p, v] = [parameters, velocities].map((variables) => variables.map((variable) => backend.own(variable))) as [Ref[], Ref[]];
        const g = gradients.map((gradient) => backend.held(gradient));
        torch.runAll('detco::sgd_', p, g, v, backend.tensor(learningRate), momentum, weightDecay);
      });
    },

    lerp: lerp((targets, sources, weight) =>
      scope(() => {
        const owned = targets.map((target) => backend.own(target));
        torch.runAll(
          'detco::lerp_',
          owned,
          sources.map((source) => backend.tensor(source)),
          weight,
        );
      }),
    ),

    enqueue(queue, keys, pointer) {
      checkKeys(queue, keys, pointer);
      // Reading it on a GPU would wait for the device, and a replayed step reads nothing.
      if (device === 'cpu' && !backend.capturing) checkPointer(queue, keys, pointer.dataSync()[0] ?? NaN);
      scope(() => torch.runAll('detco::enqueue_', backend.own(queue), backend.tensor(keys), backend.held(pointer)));
    },

    scatterRows(bank, rows, ordinals) {
      checkRows(bank, rows, ordinals);
      if (device === 'cpu' && !backend.capturing) checkOrdinals(bank, ordinals.dataSync());
      scope(() => {
        const places = backend.cast(backend.held(ordinals), ScalarType.int64);
        return torch.runAll('aten::index_copy_', backend.own(bank), 0, places, backend.tensor(rows));
      });
    },

    compile(step) {
      return capture(backend, step);
    },

    async dispose() {
      removeBackend(BACKEND);
      addon.leaveRanks();
    },
  };
}

/** (x / 255 - mean) / std as x * factor + shift. */
function normalisation(torch: Torch): [Ref, Ref] {
  const upload = (values: readonly number[]): Ref => torch.adopt(torch.upload(Float32Array.from(values), ScalarType.float32, [3]));
  return [upload(IMAGE_STD.map((std) => 1 / (255 * std))), upload(IMAGE_MEAN.map((mean, c) => -mean / (IMAGE_STD[c] ?? 1)))];
}

function asTensor(info: TensorInfo): Tensor {
  return engine().makeTensorFromTensorInfo(info);
}
