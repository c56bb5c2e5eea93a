/**
 * What a folder with LibTorch in it is: version, ABI, CUDA, headers, libraries. Read from its files alone, nothing is loaded or run, so
 * that a LibTorch that would crash can be looked at too. Four layouts: an unpacked zip, a Python package `torch` (its own files, or
 * Debian's, whose libraries are links into the system), and a prefix such as /usr.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { aptLine } from '../native/unavailable.js';
import { LIBTORCH_PACKAGES } from './commands.js';
import { findCuda, type CudaToolkit } from './cuda.js';

/** Debian 12's, the oldest that the addon compiles with. */
export const OLDEST_LIBTORCH = '1.13';

export interface LibTorch {
  /** The folder that holds it: an unpacked zip, a Python package, or a prefix. */
  readonly root: string;
  /** As it calls itself, such as `2.11.0+cu130`. */
  readonly version: string;
  readonly libraryFolder: string;
  readonly includeFolders: readonly string[];
  /** The `std::string` that it was built with: the addon must use the same one. */
  readonly cxx11Abi: boolean;
  /** The libgomp that it brings, when it brings one. */
  readonly openmp?: string;
  /** Headers and runtime of CUDA for a CUDA build, or which headers are missing. */
  readonly cuda?: CudaToolkit;
}

/** Why a folder does not give a LibTorch, in words that follow its name. */
export interface Problem {
  readonly problem: string;
}

/** Names of folders of libraries under `/usr/lib` on Debian, by Node's names of architectures. */
const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** Folders under a prefix that can hold libraries. */
export function libraryFolders(): string[] {
  const triplet = TRIPLETS[process.arch];
  return ['lib', 'lib64', ...(triplet === undefined ? [] : [`lib/${triplet}`])];
}

/** The LibTorch of a folder, or why there is none that can be used. */
export function readLibTorch(folder: string, env: NodeJS.ProcessEnv = process.env): LibTorch | Problem {
  const given = resolve(folder);
  if (!existsSync(given)) return { problem: 'no such folder' };
  // Also what a hand points at by mistake: the folder that was unpacked in, site-packages, the folder of the libraries.
  const roots = [given, join(given, 'libtorch'), join(given, 'torch'), ...(basename(given).startsWith('lib') ? [dirname(given)] : [])];
  const root = roots.find((root) => librariesOf(root) !== undefined) ?? given;
  const found = librariesOf(root);
  const version = readVersion(root, found);
  if (version !== undefined && isOlder(version, OLDEST_LIBTORCH)) {
    const advice = `install a newer one, for example: ${aptLine(LIBTORCH_PACKAGES)}`;
    return { problem: `LibTorch ${version} is too old: expected ${OLDEST_LIBTORCH} or newer; ${advice}` };
  }
  if (found === undefined) return { problem: `no libtorch_cpu.so in it (looked in ${libraryFolders().join(', ')})` };
  if (version === undefined) {
    return { problem: `there are libraries, but no version.py, build-version, version.h or numbered libtorch.so tells their version` };
  }
  return readParts(root, found, version, env);
}

function readParts(root: string, found: string, version: string, env: NodeJS.ProcessEnv): LibTorch | Problem {
  const real = realpathSync(join(found, 'libtorch_cpu.so'));
  // A number in its name: Debian's Python package, whose files are links into /usr/lib/<triplet> and /usr/include.
  const inSystem = basename(real) !== 'libtorch_cpu.so' && dirname(real) !== realpathSync(found);
  const libraryFolder = inSystem ? dirname(real) : found;
  const prefix = inSystem ? (ancestors(libraryFolder).find(hasHeaders) ?? root) : root;
  if (!hasHeaders(prefix)) {
    return {
      problem: `LibTorch ${version} without its headers (no include/ATen/ATen.h): on Debian and Ubuntu: ${aptLine(['libtorch-dev'])}`,
    };
  }
  for (const library of ['libc10.so', 'libtorch.so']) {
    if (!existsSync(join(libraryFolder, library))) return { problem: `LibTorch ${version} without ${library} in ${libraryFolder}` };
  }
  const openmp = readdirSync(libraryFolder).find((name) => /^libgomp(-\w+)?\.so/.test(name));
  const hasCuda = existsSync(join(libraryFolder, 'libtorch_cuda.so'));
  return {
    root: prefix,
    version: prefix === root ? version : (readVersion(prefix, libraryFolder) ?? version),
    libraryFolder,
    includeFolders: [join(prefix, 'include'), join(prefix, 'include/torch/csrc/api/include')],
    cxx11Abi: readCxx11Abi(prefix, libraryFolder),
    ...(openmp !== undefined && { openmp: join(libraryFolder, openmp) }),
    ...(hasCuda && { cuda: findCuda(prefix, libraryFolder, env) }),
  };
}

function librariesOf(root: string): string | undefined {
  return libraryFolders()
    .map((name) => join(root, name))
    .find((folder) => existsSync(join(folder, 'libtorch_cpu.so')));
}

function hasHeaders(prefix: string): boolean {
  return existsSync(join(prefix, 'include/ATen/ATen.h'));
}

/** The folders above, nearest first. */
function ancestors(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [] : [parent, ...ancestors(parent)];
}

/** The version that a folder of LibTorch states, first by its own files, last by the number of its library's file. */
export function readVersion(root: string, libraryFolder: string | undefined): string | undefined {
  const stated =
    matchIn(join(root, 'version.py'), /^__version__(?:: \w+)? = '([^']+)'/m) ??
    matchIn(join(root, 'build-version'), /^\s*(\d\S*)/) ??
    matchIn(join(root, 'include/torch/headeronly/version.h'), /define TORCH_VERSION\s[\\\s]*"([^"]+)"/) ??
    matchIn(join(root, 'include/torch/csrc/api/include/torch/version.h'), /define TORCH_VERSION\s[\\\s]*"([^"]+)"/);
  if (stated !== undefined || libraryFolder === undefined) return stated;
  const numbers = readdirSync(libraryFolder).map((name) => /^libtorch(?:_cpu)?\.so\.(\d+\.\d+(?:\.\d+)?)$/.exec(name)?.[1] ?? '');
  // The longest of libtorch.so.1.13 and libtorch.so.1.13.0.
  return numbers.toSorted((a, b) => b.length - a.length).find((number) => number !== '');
}

function matchIn(file: string, pattern: RegExp): string | undefined {
  return existsSync(file) ? pattern.exec(readFileSync(file, 'latin1'))?.[1] : undefined;
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor = 0, leastMinor = 0] = than.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

/** The mangled constructor of `c10::Error` has the `std::string` in its name: `Ss` is the old one. */
const ERROR_CONSTRUCTOR = /_ZN3c105ErrorC[12]ENS_14SourceLocationE(Ss|NSt7__cxx11)/;

function readCxx11Abi(root: string, libraryFolder: string): boolean {
  const symbol = matchIn(join(libraryFolder, 'libc10.so'), ERROR_CONSTRUCTOR);
  if (symbol !== undefined) return symbol !== 'Ss';
  return matchIn(join(root, 'share/cmake/Torch/TorchConfig.cmake'), /_GLIBCXX_USE_CXX11_ABI=(\d)/) !== '0';
}
