/** Tries the addon in a process of its own and hears what TensorFlow says about itself and its devices. */
import { runProbe } from '../native/probe.js';
import type { Unavailable } from '../native/unavailable.js';
import { rebuild, type Candidate } from './candidate.js';
import { explain } from './explain.js';

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

const PROBE = `
const module = { exports: {} };
try {
  process.dlopen(module, process.argv[1], require('node:os').constants.dlopen.RTLD_NOW);
  const { TF_Version, isUsingGpuDevice } = module.exports;
  process.stdout.write(JSON.stringify({ version: TF_Version, gpu: isUsingGpuDevice() }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
`;

/** What the addon of a candidate says of itself, or why it does not load. */
export async function probeAddon(candidate: Candidate, env: NodeJS.ProcessEnv = process.env): Promise<TensorFlowInfo | Unavailable> {
  // All that it says, for that is how it tells its devices; and no more of a GPU's memory than it needs for that.
  const talkative = { ...env, TF_CPP_MIN_LOG_LEVEL: '0', TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
  const { answer, how, stderr } = await runProbe(PROBE, [candidate.addon], talkative);
  if (answer === undefined) {
    const said = stderr.trim().split('\n').at(-1);
    return rebuild(`a process that loaded it ended ${how}${said ? `: ${said}` : ''}`);
  }
  const told = answer as { version: string; gpu: boolean } | { error: string };
  return 'error' in told ? explain(told.error, candidate) : { ...told, ...hear(stderr) };
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
