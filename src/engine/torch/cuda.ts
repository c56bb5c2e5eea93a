/** The headers and the runtime of CUDA for a LibTorch that has CUDA kernels. No compiler of CUDA is needed. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface CudaToolkit {
  readonly includeFolders: readonly string[];
  /** Folders of CUDA's libraries that LibTorch does not hold itself: NVRTC is opened by name at run time. */
  readonly libraryFolders: readonly string[];
  /** libcudart.so in the version that LibTorch uses, when it is found. */
  readonly runtime?: string;
  /** Headers that were found nowhere; the addon is then built for the CPU alone. */
  readonly missing: readonly string[];
}

/** What LibTorch's own CUDA headers include, and NVRTC, which compiles the engine's kernels at run time. */
const HEADERS = ['cuda.h', 'cuda_runtime_api.h', 'crt/host_defines.h', 'cublas_v2.h', 'cusparse.h', 'cusolverDn.h', 'nvrtc.h'] as const;

/**
 * pip puts CUDA's parts beside torch (nvidia/cu13, nvidia/cuda_runtime, ...), in the very version that it was built with: they come first.
 * The rest is looked for in `$CUDA_HOME`, `$CUDA_PATH`, the headers that triton brings (pip installs it with torch, and since CUDA 13
 * nothing else of torch's brings `crt/`), and /usr/local/cuda.
 */
export function findCuda(root: string, libraryFolder: string, env: NodeJS.ProcessEnv): CudaToolkit {
  const beside = join(dirname(root), 'nvidia');
  const parts = existsSync(beside) ? readdirSync(beside).map((name) => join(beside, name)) : [];
  const named = [env['CUDA_HOME'], env['CUDA_PATH']].flatMap((home) => home || []);
  const homes = [...named, '/usr/local/cuda'];
  const triton = join(dirname(root), 'triton/backends/nvidia');
  const wheels = parts.map((part) => join(part, 'include')).filter((folder) => existsSync(folder));
  const includeFolders = [...wheels];
  for (const home of [...named, triton, '/usr/local/cuda', '/usr']) {
    const folder = join(home, 'include');
    const adds = missingFrom(includeFolders).some((header) => existsSync(join(folder, header)));
    if (adds) includeFolders.push(folder);
  }
  const libraryFolders = [...parts.map((part) => join(part, 'lib')), ...homes.map((home) => join(home, 'lib64'))].filter((folder) =>
    existsSync(folder),
  );
  const runtime = findRuntime([libraryFolder, ...libraryFolders]);
  return { includeFolders, libraryFolders, missing: missingFrom(includeFolders), ...(runtime !== undefined && { runtime }) };
}

function missingFrom(folders: readonly string[]): string[] {
  return HEADERS.filter((header) => !folders.some((folder) => existsSync(join(folder, header))));
}

function findRuntime(folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    const name = readdirSync(folder).find((name) => /^libcudart(-\w+)?\.so/.test(name));
    if (name !== undefined) return join(folder, name);
  }
  return undefined;
}
