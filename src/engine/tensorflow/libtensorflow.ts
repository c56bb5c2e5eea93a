/**
 * What a Python package `tensorflow` is: version, libraries, headers, CUDA. Read from its files alone; nothing of it is loaded or run. The
 * folder may be one of an installed Python or one that a wheel was unpacked in.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The oldest whose package has TensorFlow's C API in a library of its own; before, it was a part of Python's module. */
export const OLDEST_TENSORFLOW = '2.12';

/** What the addon is linked with. The wheels hold them under these names alone, without links. */
export const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;

export interface LibTensorFlow {
  /** The package's folder, which holds the libraries. */
  readonly root: string;
  /** `2.21.0` */
  readonly version: string;
  readonly includeFolder: string;
  /** Sizes of `LIBRARIES` in bytes: another build of the same version is told by them. */
  readonly libraryBytes: readonly number[];
  /** The CUDA that it was built with, `12.5.1`; undefined for a build for CPUs alone. */
  readonly cuda?: string;
}

/** Why a folder does not give a TensorFlow, in words that follow its name. */
export interface Problem {
  readonly problem: string;
}

/** The TensorFlow of a package's folder, or why there is none that can be used. */
export function readTensorFlow(root: string): LibTensorFlow | Problem {
  if (!existsSync(root)) return { problem: 'no such folder' };
  const version = readVersion(root);
  if (version !== undefined && isOlder(version, OLDEST_TENSORFLOW)) {
    return { problem: `TensorFlow ${version} is too old: expected ${OLDEST_TENSORFLOW} or newer` };
  }
  const missing = LIBRARIES.find((library) => !existsSync(join(root, library)));
  if (missing !== undefined) return { problem: `TensorFlow ${version ?? 'of an unknown version'} without ${missing}` };
  if (version === undefined)
    return { problem: 'there are libraries, but no tensorflow*.dist-info beside it or header tells their version' };
  const includeFolder = join(root, 'include');
  if (!existsSync(join(includeFolder, 'tensorflow/c/eager/c_api.h'))) {
    return { problem: `TensorFlow ${version} without its headers (no include/tensorflow/c/eager/c_api.h)` };
  }
  const cuda = readCuda(root);
  return { root, version, includeFolder, libraryBytes: libraryBytes(root), ...(cuda !== undefined && { cuda }) };
}

/** Sizes of the libraries in a folder, 0 for one that is not there. */
export function libraryBytes(folder: string): number[] {
  return LIBRARIES.map((library) => statSync(join(folder, library), { throwIfNoEntry: false })?.size ?? 0);
}

/** `tensorflow_cpu-2.21.0.dist-info`, `tensorflow-2.16.2.dist-info`, `tf_nightly-...`; those of companions have other words. */
const DISTRIBUTION = /^(?:tensorflow(?:_cpu|_gpu|_rocm|_aws|_cpu_aws)?|tf_nightly(?:_cpu|_gpu)?)-(\d[^-]*)\.dist-info$/;

/** The version of the installed package. @param root its folder */
export function readVersion(root: string): string | undefined {
  const site = dirname(root);
  const stated = existsSync(site) ? readdirSync(site).flatMap((name) => DISTRIBUTION.exec(name)?.[1] ?? []) : [];
  // Left over from a package of another name, they differ: then the header decides, where it has numbers.
  const [first, ...others] = new Set(stated);
  return others.length === 0 ? (first ?? versionOfHeader(root)) : (versionOfHeader(root) ?? first);
}

/** Up to 2.18 the numbers are in a header. */
function versionOfHeader(root: string): string | undefined {
  for (const name of ['version.h', 'release_version.h']) {
    const file = join(root, 'include/tensorflow/core/public', name);
    const text = existsSync(file) ? readFileSync(file, 'latin1') : '';
    const numbers = ['MAJOR', 'MINOR', 'PATCH'].map((part) => new RegExp(`^#define TF_${part}_VERSION (\\d+)`, 'm').exec(text)?.[1]);
    if (!numbers.includes(undefined)) return numbers.join('.');
  }
  return undefined;
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor = 0, leastMinor = 0] = than.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function readCuda(root: string): string | undefined {
  const file = join(root, 'python/platform/build_info.py');
  const text = existsSync(file) ? readFileSync(file, 'latin1') : '';
  if (!/'is_cuda_build', True/.test(text)) return undefined;
  return /'cuda_version', '([^']+)'/.exec(text)?.[1] ?? 'of an unknown version';
}

/** One line for people. */
export function inWords({ version, root, cuda }: Pick<LibTensorFlow, 'version' | 'root' | 'cuda'>): string {
  return `TensorFlow ${version}, ${cuda === undefined ? 'CPU' : `CUDA ${cuda}`}, libraries in ${root}`;
}
