/** Tries the addon in a process of its own and hears what TensorFlow says about itself and its devices. */
import { probeAddonFile } from '../native/probe.js';
import type { Unavailable } from '../native/unavailable.js';
import type { Candidate } from './candidate.js';
import { explain, unusable } from './explain.js';

export interface TensorFlowInfo {
  /** libtensorflow's, `2.21.0`. */
  readonly version: string;
  /** The addon's word: TensorFlow has a GPU. */
  readonly gpu: boolean;
  readonly cudaDevices: readonly { readonly name: string; readonly capability: string; readonly usableBytes: number }[];
  /** Libraries of CUDA's that TensorFlow has looked for in vain. */
  readonly missingLibraries: readonly string[];
  /** What TensorFlow says about there being no GPU. */
  readonly gpuReason?: string;
}

/** What the addon of a candidate says of itself, or why it does not load. */
export async function probeAddon(
  candidate: Candidate,
  env: NodeJS.ProcessEnv = process.env,
  signal?: AbortSignal,
): Promise<TensorFlowInfo | Unavailable> {
  // All that it says, for that is how it tells its devices; and no more of a GPU's memory than it needs for that.
  const talkative = { ...env, TF_CPP_MIN_LOG_LEVEL: '0', TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
  const ask = '{ version: addon.TF_Version, gpu: addon.isUsingGpuDevice() }';
  const outcome = await probeAddonFile<Pick<TensorFlowInfo, 'version' | 'gpu'>>(candidate.addon, ask, talkative, signal);
  if ('told' in outcome) return { ...outcome.told, ...hear(outcome.stderr) };
  return 'ended' in outcome ? unusable(outcome.ended, candidate) : explain(outcome.error, candidate);
}

/** Of a device that TensorFlow has taken: memory in MB, name, compute capability. */
const DEVICE = /device:GPU:\d+ with (\d+) MB memory:\s+-> device: \d+, name: ([^,]+),.*compute capability: (\S+)/g;
const MISSING = /Could not load dynamic library '([^']+)'/g;
const WHY_NONE = /Could not find cuda drivers|Cannot dlopen some GPU libraries|failed call to cuInit|no CUDA-capable device/;

/** What TensorFlow's log tells. */
export function hear(log: string): Pick<TensorFlowInfo, 'cudaDevices' | 'missingLibraries' | 'gpuReason'> {
  const cudaDevices = [...log.matchAll(DEVICE)].map(([, megabytes, name = '', capability = '']) => ({
    name,
    capability,
    usableBytes: Number(megabytes) * 2 ** 20,
  }));
  const missingLibraries = [...new Set([...log.matchAll(MISSING)].map(([, library = '']) => library))];
  // After the date, the level and the place in TensorFlow's sources.
  const why = log
    .split('\n')
    .find((line) => WHY_NONE.test(line))
    ?.replace(/^.*?\.cc:\d+\] /, '');
  return { cudaDevices, missingLibraries, ...(why !== undefined && { gpuReason: why }) };
}
