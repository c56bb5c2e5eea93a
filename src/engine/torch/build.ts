/**
 * `detco engine build torch`: finds LibTorch, compiles native/torch in a temporary folder, tries the product in a process of its own and
 * moves it into place. A build that fails or is stopped leaves the last product as it was.
 */
import { copyFile, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, freemem, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { stagingFolder, writableFolder } from '../native/product.js';
import { quoteErrors, runTool, type ToolOptions } from '../native/run-tool.js';
import { missingCompiler, nodeHeaders } from '../native/toolchain.js';
import { aptLine } from '../native/unavailable.js';
import type { TorchInfo } from './addon.js';
import { openblasCore } from './blas.js';
import { BUILD_COMMAND, LIBTORCH_PACKAGES } from './commands.js';
import type { LibTorch } from './libtorch.js';
import { locateLibTorch, type TorchPlace } from './locate.js';
import { probeFile } from './native.js';
import {
  buildFolder,
  cpuFlags,
  NODE_API,
  nativeFolder,
  PRODUCT,
  recordFile,
  sourceDigest,
  sourceFiles,
  type BuildRecord,
} from './product.js';
import { CMAKE_PACKAGE, missingTools } from './toolchain.js';

export interface BuildOptions {
  /** A folder with LibTorch, before every other place. */
  readonly libtorch?: string | undefined;
  /** Files compiled at once. Default: the cores, and no more than memory holds. */
  readonly jobs?: number | undefined;
  /** Also the C++ test programs, left in `work`. */
  readonly tests?: boolean;
  /** Keeps the objects here, so that the next build compiles what has changed only. Default: a temporary folder that is removed. */
  readonly work?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly onPlace?: (place: TorchPlace) => void;
  /** A line for people about what is being done. */
  readonly onLine?: (line: string) => void;
}

export interface BuildReport {
  readonly file: string;
  readonly record: BuildRecord;
  readonly info: TorchInfo;
  readonly seconds: number;
}

/** Only Linux's loader, CPU flags and library names are known to what finds and loads the addon. */
const PLATFORM = 'linux';
/** g++ takes up to this for a file that includes LibTorch's headers. */
const BYTES_A_JOB = 2 * 2 ** 30;

/**
 * Builds the addon.
 * @throws NamedPlaceError when `libtorch` or `$LIBTORCH` names a folder that cannot be used
 * @throws Error that says what is missing and how to install it, or quotes the compiler
 */
export async function buildTorch(options: BuildOptions = {}): Promise<BuildReport> {
  const { libtorch, env = process.env, signal, onPlace, onLine = () => {} } = options;
  const started = performance.now();
  if (process.platform !== PLATFORM)
    throw new Error(`The engine torch is built on Linux only, this is ${process.platform}: use --engine wasm`);
  const [found, missing] = [await locateLibTorch({ libtorch, env, ...(onPlace && { onPlace }) }), await missingTools(env)];
  if (found === undefined || missing.length > 0) throw new Error(whatIsMissing(found, missing, env));
  if (found.cuda !== undefined && found.cuda.missing.length > 0) onLine(withoutCuda(found.cuda.missing));

  const native = nativeFolder();
  const target = await writableFolder(buildFolder(native));
  const work = options.work ?? (await mkdtemp(join(tmpdir(), 'detco-torch-')));
  const log = join(target, 'build.log');
  try {
    await mkdir(work, { recursive: true });
    await rm(log, { force: true });
    const tool: ToolOptions = { env, log, signal };
    const digest = sourceDigest(native);
    await cmake(['-S', native, '-B', work, ...definitions(found, options.tests ?? false)], 'CMake could not set up the build', tool);
    const jobs = options.jobs ?? Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / BYTES_A_JOB)));
    const count = sourceFiles(native).filter((name) => name.endsWith('.cc')).length;
    onLine(`compiling ${count} files, ${jobs} at once: a minute or two`);
    const hear = (line: string): void => {
      const source = /Building CXX object \S*?((?:src|test)\/\S+?\.cc)\.o/.exec(line)?.[1];
      if (source !== undefined) onLine(`compiling ${source}`);
    };
    await cmake(['--build', work, '--parallel', String(jobs)], 'the compiler failed', { ...tool, onLine: hear });
    const built = join(work, PRODUCT);
    // What OpenBLAS takes by itself is recorded.
    const info = await probeFile(built, { ...env, OPENBLAS_CORETYPE: undefined }, signal);
    if ('reason' in info) throw new Error(`The addon was compiled, but ${info.reason}. The log of the build is ${log}`);
    const record = await recordOf(found, built, digest ?? '', info);
    await install(built, record, target);
    return { file: join(target, PRODUCT), record, info, seconds: (performance.now() - started) / 1000 };
  } finally {
    if (options.work === undefined) await rm(work, { recursive: true, force: true });
  }
}

function whatIsMissing(found: LibTorch | undefined, tools: readonly string[], env: NodeJS.ProcessEnv): string {
  const packages = [...(found === undefined ? LIBTORCH_PACKAGES : []), ...tools];
  const what = [
    ...(found === undefined ? ['LibTorch'] : []),
    ...tools.map((tool) => (tool === CMAKE_PACKAGE ? 'cmake' : missingCompiler(env))),
  ];
  const pip = found === undefined ? ' LibTorch may also be that of pip install torch, or an unpacked one given by --libtorch DIR.' : '';
  return `Cannot build: ${what.join(' and ')} not found. On Debian and Ubuntu: ${aptLine(packages)}, then ${BUILD_COMMAND}.${pip}`;
}

function withoutCuda(missing: readonly string[]): string {
  return (
    `this LibTorch has CUDA, but its headers are not found (${missing.join(', ')}): building for the CPU alone. ` +
    "Set CUDA_HOME, or with pip's torch: python3 -m pip install 'cuda-toolkit[crt]', and build again"
  );
}

function definitions(libtorch: LibTorch, tests: boolean): string[] {
  const addonApi = dirname(createRequire(import.meta.url).resolve('node-addon-api/package.json'));
  const cuda = usableCuda(libtorch);
  const values: Readonly<Record<string, string>> = {
    LIBTORCH_INCLUDE_DIRS: libtorch.includeFolders.join(';'),
    LIBTORCH_LIBRARY_DIR: libtorch.libraryFolder,
    LIBTORCH_CXX11_ABI: libtorch.cxx11Abi ? '1' : '0',
    LIBTORCH_OPENMP: libtorch.openmp ?? '',
    LIBTORCH_CUDA: cuda === undefined ? 'OFF' : 'ON',
    ...(cuda !== undefined && {
      CUDA_INCLUDE_DIRS: cuda.includeFolders.join(';'),
      CUDA_LIBRARIES: cuda.runtime ?? '',
      CUDA_LIBRARY_DIRS: cuda.libraryFolders.join(';'),
    }),
    NODE_INCLUDE_DIRS: [nodeHeaders(), addonApi].join(';'),
    DETCO_TESTS: tests ? 'ON' : 'OFF',
  };
  return Object.entries(values).map(([name, value]) => `-D${name}=${value}`);
}

function usableCuda({ cuda }: LibTorch): LibTorch['cuda'] {
  return cuda !== undefined && cuda.missing.length === 0 ? cuda : undefined;
}

async function cmake(args: readonly string[], failure: string, options: ToolOptions): Promise<void> {
  const { code, lines } = await runTool('cmake', args, options);
  if (code === 0) return;
  throw new Error(`${failure}:\n${quoteErrors(lines)}\nThe whole log is ${options.log}`);
}

async function recordOf(libtorch: LibTorch, built: string, digest: string, info: TorchInfo): Promise<BuildRecord> {
  const core = openblasCore(info.openblasCore, cpuFlags());
  return {
    torchVersion: libtorch.version,
    libtorchRoot: libtorch.root,
    libraryFolder: libtorch.libraryFolder,
    cuda: usableCuda(libtorch) !== undefined,
    cxx11Abi: libtorch.cxx11Abi,
    arch: process.arch,
    cpuFlags: cpuFlags(),
    nodeApi: NODE_API,
    builtAt: new Date().toISOString(),
    ...(core !== undefined && { openblasCore: core }),
    sourceDigest: digest,
    bytes: (await stat(built)).size,
  };
}

/** Both files are written beside their places and renamed: a process that has the last product loaded keeps it. */
async function install(built: string, record: BuildRecord, target: string): Promise<void> {
  const product = join(target, PRODUCT);
  const staging = await stagingFolder(target);
  try {
    await copyFile(built, join(staging, PRODUCT));
    await writeFile(join(staging, basename(recordFile(product))), `${JSON.stringify(record, undefined, 2)}\n`);
    // Between the two renames there is no record, which reads as a build to be repeated.
    await rm(recordFile(product), { force: true });
    await rename(join(staging, PRODUCT), product);
    await rename(join(staging, basename(recordFile(product))), recordFile(product));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
