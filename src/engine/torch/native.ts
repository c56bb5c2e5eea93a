/**
 * Loads the addon, or says why it cannot be loaded and what to do. A library that does not fit can end the process while it is loaded
 * (an instruction that the CPU lacks, a constructor that aborts), so all that can be told from files is looked at before, and `probeNative`
 * tries it in a process of its own.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readRefusal } from '../native/explain.js';
import { loadAddon } from '../native/load-addon.js';
import { probeAddonFile } from '../native/probe.js';
import { inspectLibrary, inspectNode } from '../native/product.js';
import { UnavailableError, type Unavailable } from '../native/unavailable.js';
import type { TorchAddon, TorchInfo } from './addon.js';
import { BUILD_COMMAND, INSTALL_COMMAND } from './commands.js';
import { readVersion } from './libtorch.js';
import { cpuFlags, productFile, readRecord, sourceDigest, type BuildRecord } from './product.js';

const loaded = new Map<string, TorchAddon>();

/**
 * The addon, loaded once a process.
 * @throws UnavailableError with the reason and the remedy
 */
export function loadNative(env: NodeJS.ProcessEnv = process.env): TorchAddon {
  const file = productFile(env);
  const known = loaded.get(file);
  if (known !== undefined) return known;
  const problem = inspectNative(env);
  if (problem !== undefined) throw new UnavailableError(problem);
  const core = readRecord(file)?.openblasCore;
  // OpenBLAS reads the environment of the process when it is loaded, with the addon. (That of a worker thread is a copy, without `SHARE_ENV`.)
  if (core !== undefined) process.env['OPENBLAS_CORETYPE'] ??= core;
  try {
    const addon = loadAddon(file) as TorchAddon;
    loaded.set(file, addon);
    return addon;
  } catch (error) {
    throw new UnavailableError(explain(error instanceof Error ? error.message : String(error), readRecord(file)), { cause: error });
  }
}

/** Why the addon cannot be loaded as far as its files tell, or undefined. Loads nothing: a few milliseconds. */
export function inspectNative(env: NodeJS.ProcessEnv = process.env): Unavailable | undefined {
  const file = productFile(env);
  const overridden = Boolean(env['DETCO_TORCH_ADDON']);
  if (!existsSync(file)) {
    if (overridden) return { reason: `DETCO_TORCH_ADDON is ${JSON.stringify(file)}, which is no file`, remedy: 'correct or unset it' };
    return { reason: `its addon is not built (no ${file})`, remedy: INSTALL_COMMAND };
  }
  const record = readRecord(file);
  if (record === undefined) {
    // A file that someone names may come without its record; the build's own has one unless it was interrupted.
    return overridden ? inspectFile(file) : rebuild(`${file} has no build.json beside it that can be read`);
  }
  return inspectFile(file, record) ?? inspectRecord(record) ?? inspectSources(record) ?? inspectLibTorch(record);
}

function rebuild(reason: string): Unavailable {
  return { reason, remedy: `build it again: ${BUILD_COMMAND}` };
}

function inspectFile(file: string, record?: BuildRecord): Unavailable | undefined {
  const problem = inspectLibrary(file, record?.bytes);
  return problem === undefined ? undefined : rebuild(problem);
}

function inspectRecord(record: BuildRecord): Unavailable | undefined {
  const unfit = inspectNode(record, rebuild);
  if (unfit !== undefined) return unfit;
  const flags = new Set(cpuFlags());
  const lacking = flags.size === 0 ? [] : record.cpuFlags.filter((flag) => !flags.has(flag));
  return lacking.length === 0 ? undefined : rebuild(`it was built on a CPU with ${lacking.join(', ')}, which this one lacks`);
}

function inspectSources({ sourceDigest: builtFrom }: BuildRecord): Unavailable | undefined {
  const digest = sourceDigest();
  return digest === undefined || digest === builtFrom ? undefined : rebuild("it was built from other sources than this version's");
}

function inspectLibTorch({ torchVersion, libtorchRoot, libraryFolder, cuda }: BuildRecord): Unavailable | undefined {
  const needed = ['libc10.so', 'libtorch_cpu.so', ...(cuda ? ['libtorch_cuda.so'] : [])];
  const gone = needed.find((library) => !existsSync(join(libraryFolder, library)));
  if (gone !== undefined && readVersion(libtorchRoot, existsSync(libraryFolder) ? libraryFolder : undefined) === undefined) {
    return { reason: `the LibTorch ${torchVersion} that it was built for is gone from ${libraryFolder}`, remedy: INSTALL_COMMAND };
  }
  const version = readVersion(libtorchRoot, libraryFolder);
  if (version !== torchVersion) {
    return rebuild(`it was built for LibTorch ${torchVersion}, in ${libraryFolder} is ${version ?? 'one that tells no version'}`);
  }
  // Debian's libraries without libtorch-dev have numbers in their names: the loader finds those.
  return cuda && gone === 'libtorch_cuda.so' ? rebuild(`it was built for CUDA, in ${libraryFolder} is no ${gone}`) : undefined;
}

/** The loader's own words -> what is wrong and what to do. */
function explain(message: string, record: BuildRecord | undefined): Unavailable {
  const builtFor = record === undefined ? '' : ` (it was built for LibTorch ${record.torchVersion} in ${record.libraryFolder})`;
  const refusal = readRefusal(message);
  if ('missing' in refusal) {
    const remedy = `install what brings that library, or ${BUILD_COMMAND} with another LibTorch`;
    return { reason: `it needs ${refusal.missing}, which is not found${builtFor}`, remedy };
  }
  if ('symbol' in refusal) {
    return rebuild(`it needs ${refusal.symbol}, which the LibTorch found at run time lacks: that is another build of it.${builtFor}`);
  }
  if ('needed' in refusal) return rebuild(`the system's libraries are older than those it was linked with (${refusal.needed} is missing)`);
  return rebuild(`it does not load: ${refusal.words}`);
}

/** What the addon says of itself, from a process of its own: whatever happens there, this one goes on. */
export async function probeNative(env: NodeJS.ProcessEnv = process.env): Promise<TorchInfo | Unavailable> {
  return inspectNative(env) ?? probeFile(productFile(env), env);
}

/** As `probeNative`, for a file that is taken as it is. */
export async function probeFile(
  file: string,
  env: NodeJS.ProcessEnv = process.env,
  signal?: AbortSignal,
): Promise<TorchInfo | Unavailable> {
  const outcome = await probeAddonFile<TorchInfo>(file, 'addon.info()', env, signal);
  if ('told' in outcome) return outcome.told;
  return 'ended' in outcome ? rebuild(outcome.ended) : explain(outcome.error, readRecord(file));
}
