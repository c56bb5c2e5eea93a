/** All that `detco doctor` tells of the engine torch: whether its addon loads, on what, and otherwise the commands that make it load. */
import { NamedPlaceError } from '../native/place.js';
import { aptLine, type Unavailable } from '../native/unavailable.js';
import type { TorchInfo } from './addon.js';
import { blasWarning, openblasCore } from './blas.js';
import { BUILD_COMMAND, LIBTORCH_PACKAGES } from './commands.js';
import { readLibTorch } from './libtorch.js';
import { locateLibTorch } from './locate.js';
import { inspectNative, probeFile } from './native.js';
import { findNvjpeg } from './nvjpeg.js';
import { cpuFlags, productFile, readRecord } from './product.js';
import { missingTools } from './toolchain.js';

export interface TorchState {
  /** Undefined when the addon does not load. */
  readonly info?: TorchInfo;
  readonly unavailable?: Unavailable;
  /** Where the LibTorch lies that the addon was built for. */
  readonly libraryFolder?: string;
  /** The library by which a GPU decodes JPEGs, where there is one. */
  readonly nvjpeg?: string;
  /** What makes it slower than it could be. */
  readonly warnings: readonly string[];
}

/** Loads the addon in a process of its own. */
export async function inspectTorch(env: NodeJS.ProcessEnv = process.env): Promise<TorchState> {
  const file = productFile(env);
  const problem = inspectNative(env);
  if (problem !== undefined) return { unavailable: { ...problem, remedy: await remedyHere(problem.remedy, env) }, warnings: [] };
  const info = await probeFile(file, env);
  if ('reason' in info) return { unavailable: info, warnings: [] };
  const record = readRecord(file);
  if (record === undefined) return { info, warnings: [] };
  const slow = blasWarning(record.libraryFolder);
  const libtorch = record.cuda ? undefined : readLibTorch(record.libtorchRoot, env);
  const noCuda =
    libtorch !== undefined && 'cuda' in libtorch
      ? `LibTorch has CUDA, the addon was built without it, for its headers were not found: set CUDA_HOME, or with pip's torch install cuda-toolkit[crt]; then ${BUILD_COMMAND}`
      : undefined;
  const core = openblasCore(info.openblasCore, cpuFlags());
  const oldKernels =
    core !== undefined && core !== record.openblasCore
      ? `OpenBLAS does not know this CPU and takes kernels without AVX, several times slower in matrix products: ${BUILD_COMMAND}`
      : undefined;
  const nvjpeg = findNvjpeg(record.libtorchRoot, env);
  return {
    info,
    libraryFolder: record.libraryFolder,
    ...(nvjpeg !== undefined && { nvjpeg }),
    warnings: [slow, noCuda, oldKernels].filter((warning) => warning !== undefined),
  };
}

/** The general advice to build, cut down to what this machine lacks. */
async function remedyHere(remedy: string, env: NodeJS.ProcessEnv): Promise<string> {
  if (!remedy.includes(BUILD_COMMAND)) return remedy;
  try {
    const [libtorch, tools] = await Promise.all([locateLibTorch({ env }), missingTools(env)]);
    const packages = [...(libtorch === undefined ? LIBTORCH_PACKAGES : []), ...tools];
    return packages.length === 0 ? BUILD_COMMAND : `${aptLine(packages)} && ${BUILD_COMMAND}`;
  } catch (error) {
    if (error instanceof NamedPlaceError) return `${error.message}; correct or unset it, then ${BUILD_COMMAND}`;
    throw error;
  }
}
