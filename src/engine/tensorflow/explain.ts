/** What the loader and TensorFlow itself say when something is missing -> what is wrong and what to do. */
import { isAbsolute } from 'node:path';
import { readRefusal } from '../native/explain.js';
import type { Unavailable } from '../native/unavailable.js';
import { forGpu, rebuild, type Candidate } from './candidate.js';
import { BUILD_COMMAND, currentCommand, GPU_COMMAND } from './commands.js';

/** NVIDIA's libraries by the names of their packages on PyPI, `nvidia-cuda-runtime-cu12`. */
const CUDA_PACKAGES: Readonly<Record<string, string>> = {
  libcudart: 'cuda-runtime',
  libcublas: 'cublas',
  libcublasLt: 'cublas',
  libcufft: 'cufft',
  libcurand: 'curand',
  libcusolver: 'cusolver',
  libcusparse: 'cusparse',
  libcudnn: 'cudnn',
  libcupti: 'cuda-cupti',
  libnvrtc: 'cuda-nvrtc',
  libnvJitLink: 'nvjitlink',
  libnccl: 'nccl',
};

/** The stock package's libtensorflow 2.9.1 is built with it. */
const STOCK_CUDA = '11';
/** TensorFlow's since 2.14, for one that does not tell. */
const CURRENT_CUDA = '12';

/** The package that has a library of CUDA's, in words; undefined for other libraries. */
export function cudaPackage(library: string, cuda: string): string | undefined {
  if (library.startsWith('libcuda.so')) return "NVIDIA's driver has it";
  const name = CUDA_PACKAGES[library.split(/[.]|_/)[0] ?? ''];
  if (name === undefined) return undefined;
  const distribution = `nvidia-${name}-cu${cuda.split('.')[0]}`;
  // Its newest has libcudnn.so.9.
  return `python3 -m pip install ${/^libcudnn.*\.so\.8/.test(library) ? `'${distribution}<9'` : distribution}`;
}

/** What to do about CUDA's libraries where TensorFlow came in a wheel: it looks for them beside its package, where a product has none. */
export const WHEEL_CUDA =
  "name the folders of CUDA's and cuDNN's libraries in LD_LIBRARY_PATH, or build from a Python environment instead: " + GPU_COMMAND;

/** How all of CUDA's libraries come to where the addon looks. */
export function allOfCuda({ record }: Candidate): string {
  return record !== undefined && !isAbsolute(record.libraryFolder) ? WHEEL_CUDA : GPU_COMMAND;
}

function cudaOf({ source, record }: Candidate): string {
  return source === 'installed' ? STOCK_CUDA : (record?.cuda?.match(/^\d+/)?.[0] ?? CURRENT_CUDA);
}

/** How a library of CUDA's comes to where the addon looks. */
export function cudaRemedy(library: string, candidate: Candidate): string | undefined {
  const found = cudaPackage(library, cudaOf(candidate));
  if (found === undefined || library.startsWith('libcuda.so')) return found;
  return candidate.source === 'installed'
    ? `${found}, and put its folder lib into LD_LIBRARY_PATH; or build on a current TensorFlow: ${GPU_COMMAND}`
    : `${found}, or all of them: ${allOfCuda(candidate)}`;
}

/** With what to do about an addon that does not load: have it made again, or another. */
export function unusable(reason: string, candidate: Candidate): Unavailable {
  if (candidate.source === 'built') return rebuild(reason);
  const remedy = `npm rebuild ${candidate.packageName}, or build on a current TensorFlow: ${currentCommand(forGpu(candidate))}`;
  return { reason, remedy };
}

/** @param message of the loader */
export function explain(message: string, candidate: Candidate): Unavailable {
  const { packageName, libraryFolder, record } = candidate;
  const builtFor =
    record === undefined
      ? ` (${packageName}'s own, libraries in ${libraryFolder})`
      : ` (it was built for TensorFlow ${record.tensorflowVersion} in ${libraryFolder})`;
  const refusal = readRefusal(message);
  if ('missing' in refusal) {
    const { missing } = refusal;
    const reason = `it needs ${missing}, which is not found${builtFor}`;
    if (missing.startsWith('libtensorflow')) return unusable(reason, candidate);
    return {
      reason,
      remedy: cudaRemedy(missing, candidate) ?? `install what brings that library, or ${BUILD_COMMAND} with another TensorFlow`,
    };
  }
  if ('symbol' in refusal) {
    return unusable(
      `it needs ${refusal.symbol}, which the TensorFlow found at run time lacks: that is another build of it${builtFor}`,
      candidate,
    );
  }
  if ('needed' in refusal) {
    return {
      reason: `the system's libraries are older than TensorFlow's needs (${refusal.needed} is missing)${builtFor}`,
      remedy: `install an older TensorFlow, then ${BUILD_COMMAND}`,
    };
  }
  return unusable(`it does not load: ${refusal.words}`, candidate);
}
