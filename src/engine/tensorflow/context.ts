/**
 * TensorFlow's one context of a process: made when the addon is loaded, with what environment variables say at that moment. Threads,
 * device and precision can therefore be chosen once.
 */
import { availableParallelism } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import type { Precision } from '../engine.js';
import type { ResolvedEngineOptions } from '../check.js';
import { nodeReport } from '../../common/node-report.js';
import { UnavailableError } from '../native/unavailable.js';
import { chooseCandidate, forGpu } from './candidate.js';
import { loadTensorFlow, type TensorFlow } from './load.js';
import { probeAddon } from './probe.js';

export interface Context {
  readonly tensorflow: TensorFlow;
  readonly threads: number;
  /** As it was asked for: on CPUs tf32 is fp32. */
  readonly precision: Precision;
  /** `cpu`, `cuda:0` */
  readonly device: string;
}

interface Started extends Context {
  /** The device that was asked for. */
  readonly asked: string;
}

let started: Started | undefined;

/**
 * The context with these options.
 * @throws when the process has one with others, there is no such device, or this is a worker thread with an environment of its own
 */
export async function openContext(options: ResolvedEngineOptions): Promise<Context> {
  if (!isMainThread && !sharesEnvironment()) {
    throw new UnavailableError({
      reason:
        'TensorFlow reads threads and device from environment variables, and those of this worker thread are a copy that it does not see',
      remedy: 'start the Worker with env: SHARE_ENV, or TensorFlow in the main thread',
    });
  }
  if (options.precision === 'bf16') {
    // oneDNN's math mode (ONEDNN_DEFAULT_FPMATH_MODE=BF16) changes no bit of TensorFlow's float32 convolutions and products.
    throw new Error(
      'precision "bf16": engine tensorflow computes in fp32, and on GPUs in tf32: TensorFlow.js has no bfloat16; use engine torch, fp32 or tf32',
    );
  }
  if (started === undefined) await tryGpu(options.device);
  started ??= start(options);
  const { threads = started.threads, device, precision } = options;
  if (threads !== started.threads) refuse('threads', threads, started.threads);
  if (precision !== started.precision && started.device !== 'cpu') refuse('precision', precision, started.precision);
  if (device === 'auto' || numbered(device) === started.device) return { ...started, precision };
  // Of the GPUs it has looked at that one alone.
  if (started.device === 'cpu' && numbered(device) === numbered(started.asked)) {
    const { binding, packageName, libraryFolder } = started.tensorflow;
    throw new Error(
      `device "${device}": TensorFlow ${binding.TF_Version} of ${packageName} (${libraryFolder}) finds no GPU that it can use; expected cpu or auto. ` +
        'It needs a TensorFlow built for CUDA, the NVIDIA driver, and the CUDA and cuDNN libraries of its version: see "detco doctor"',
    );
  }
  return refuse('device', device, started.device);
}

function refuse(option: string, asked: number | string, have: number | string): never {
  throw new Error(
    `${option} ${asked}: TensorFlow was started with ${option} ${have} in this process and takes them once; ` +
      `expected ${have}, or a process of its own for the other`,
  );
}

function start({ threads = availableParallelism(), device, precision }: ResolvedEngineOptions): Started {
  // cuBLAS and cuDNN read it, at the latest when the first of their operations runs.
  const tf32 = device === 'cpu' ? {} : { NVIDIA_TF32_OVERRIDE: precision === 'fp32' ? '0' : undefined };
  const variables = { TF_NUM_INTRAOP_THREADS: String(threads), ...visibleDevices(device), ...tf32 };
  const tensorflow = withEnvironment(variables, () => loadTensorFlow());
  const gpu = tensorflow.binding.isUsingGpuDevice();
  if (gpu) setEnvironment(tf32);
  return { tensorflow, threads, precision, asked: device, device: gpu ? numbered(device) : 'cpu' };
}

/** The device with its number: `cuda` and `auto` are the first GPU. */
const numbered = (device: string): string => (device === 'cuda' || device === 'auto' ? 'cuda:0' : device);

/**
 * tfjs-node goes on where TensorFlow could not make its context, as on a GPU whose memory others have taken, and the process ends with SIGSEGV.
 * So where a GPU may be used, a process of its own tries it first.
 */
async function tryGpu(device: string): Promise<void> {
  const candidate = chooseCandidate();
  if (device === 'cpu' || 'reason' in candidate || !forGpu(candidate)) return;
  const env = { ...process.env, ...visibleDevices(device) };
  const onGpu = await probeAddon(candidate, env);
  if (!('reason' in onGpu)) return;
  const onCpu = await probeAddon(candidate, { ...env, CUDA_VISIBLE_DEVICES: '-1' });
  if ('reason' in onCpu) throw new UnavailableError(onCpu);
  throw new Error(
    `device "${device}": the GPU cannot be used: ${onGpu.reason}. Is its memory taken? See nvidia-smi, free it, or use --device cpu`,
  );
}

/** TensorFlow takes memory on every GPU it sees, and the addon computes on the last. */
function visibleDevices(device: string): Record<string, string> {
  if (device === 'cpu') return { CUDA_VISIBLE_DEVICES: '-1' };
  const visible = process.env['CUDA_VISIBLE_DEVICES']?.split(',');
  const index = Number(numbered(device).slice('cuda:'.length));
  // An index past the list hides all GPUs.
  return { CUDA_VISIBLE_DEVICES: visible === undefined ? String(index) : (visible[index] ?? '-1') };
}

/** Whether what this thread sets in `process.env` reaches the C library: Node's report shows what that holds. */
function sharesEnvironment(): boolean {
  const name = 'DETCO_SHARED_ENVIRONMENT';
  return withEnvironment({ [name]: '1' }, () => {
    return nodeReport().environmentVariables?.[name] === '1';
  });
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs `body` with these environment variables. */
function withEnvironment<T>(variables: Environment, body: () => T): T {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  setEnvironment(variables);
  try {
    return body();
  } finally {
    setEnvironment(before);
  }
}

function setEnvironment(variables: Environment): void {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
