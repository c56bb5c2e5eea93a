/**
 * What `detco engine build torch` leaves: `native/torch/build/detco-torch.node`, and beside it `build.json`, which says what it was built
 * from and for. It lies outside `dist/`, which every build of the package rewrites.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AddonRecord, findUp, readAddonRecord } from '../native/product.js';

/** build.json */
export interface BuildRecord extends AddonRecord {
  /** As LibTorch called itself when the addon was built. */
  readonly torchVersion: string;
  readonly libtorchRoot: string;
  readonly libraryFolder: string;
  readonly cuda: boolean;
  readonly cxx11Abi: boolean;
  /** The instruction sets of the machine that built it: `-march=native` may use any of them. */
  readonly cpuFlags: readonly string[];
  /** What `OPENBLAS_CORETYPE` has to be, where OpenBLAS does not know this CPU. */
  readonly openblasCore?: string;
  readonly sourceDigest: string;
}

export const NODE_API = 8;
export const PRODUCT = 'detco-torch.node';

/** `native/torch` of this package, seen from `dist/engine/torch` and from a bundle that lies elsewhere in the package. */
export function nativeFolder(from: string = dirname(fileURLToPath(import.meta.url))): string {
  const holds = (folder: string): boolean =>
    ['CMakeLists.txt', join('build', PRODUCT)].some((name) => existsSync(join(folder, 'native/torch', name)));
  return join(findUp(from, holds) ?? join(from, '../../..'), 'native/torch');
}

export function buildFolder(native: string = nativeFolder()): string {
  return join(native, 'build');
}

/** The addon's file: `$DETCO_TORCH_ADDON`, or the product of the build. */
export function productFile(env: NodeJS.ProcessEnv = process.env): string {
  return env['DETCO_TORCH_ADDON'] || join(buildFolder(), PRODUCT);
}

/** The record beside a product; undefined when there is none that can be read. */
export function readRecord(product: string): BuildRecord | undefined {
  return readAddonRecord<BuildRecord>(recordFile(product), ['torchVersion', 'libtorchRoot', 'libraryFolder', 'sourceDigest'], 'cpuFlags');
}

export function recordFile(product: string): string {
  return join(dirname(product), 'build.json');
}

/** Of all that is compiled, names and bytes; undefined where the sources are not there, as in a package of the product alone. */
export function sourceDigest(native: string = nativeFolder()): string | undefined {
  if (!existsSync(join(native, 'CMakeLists.txt'))) return undefined;
  const hash = createHash('sha256');
  for (const name of ['CMakeLists.txt', ...sourceFiles(native)]) {
    const bytes = readFileSync(join(native, name));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/** Paths under `native`, sorted. */
export function sourceFiles(native: string): string[] {
  const entries = existsSync(join(native, 'src')) ? readdirSync(join(native, 'src'), { recursive: true, withFileTypes: true }) : [];
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name).slice(native.length + 1));
  return files.toSorted();
}

/** Instruction sets that a compiler may use on its own; the other flags tell of the system. */
const INSTRUCTION_SETS =
  /^(ssse3|sse|avx|amx|fma|f16c|bmi|abm|lzcnt|popcnt|movbe|adx|aes|vaes|pclmul|vpclmul|gfni|sha|asimd|sve|fphp|i8mm|bf16|atomics)/;

/** As Linux names them, sorted; empty where it does not tell. */
export function cpuFlags(): string[] {
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1] ?? '';
    return flags
      .split(' ')
      .filter((flag) => INSTRUCTION_SETS.test(flag))
      .toSorted();
  } catch {
    return [];
  }
}
