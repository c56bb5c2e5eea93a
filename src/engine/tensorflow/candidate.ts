/**
 * Which tfjs-node the engine uses: the product of `detco engine build tensorflow` when there is one that fits, else an installed package
 * with the addon that its install script has downloaded. All of it told from files: milliseconds.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { nodeReport } from '../../common/node-report.js';
import { inspectLibrary, inspectNode } from '../native/product.js';
import type { Unavailable } from '../native/unavailable.js';
import { CORE, resolvePackage } from '../packages.js';
import { BUILD_COMMAND, currentCommand, INSTALL_REMEDY } from './commands.js';
import { libraryBytes, LIBRARIES, readVersion } from './libtensorflow.js';
import { installedPackages, stockAddon, tfjsVersion, type NodePackage } from './npm-package.js';
import { ADDON, buildFolder, packageIn, readRecord, RECORD, type BuildRecord } from './product.js';

/** An addon and the JavaScript over it. */
export interface Candidate {
  readonly source: 'built' | 'installed';
  readonly addon: string;
  readonly packageName: string;
  readonly packageFolder: string;
  /** Of TensorFlow's libraries. */
  readonly libraryFolder: string;
  /** Of a product. */
  readonly record?: BuildRecord;
  /** Why the product that is there is not used. */
  readonly passedBy?: Unavailable;
}

/** The first that can be loaded as far as files tell, or why there is none. @param project the user's folder */
export function chooseCandidate(env: NodeJS.ProcessEnv = process.env, project: string = process.cwd()): Candidate | Unavailable {
  const built = inspectBuilt(buildFolder(env)) ?? inspectNamed(env);
  if (built !== undefined && !('reason' in built)) return built;
  const installed = installedPackages(project).map(inspectInstalled);
  for (const candidate of installed) {
    if (!('reason' in candidate)) return built === undefined ? candidate : { ...candidate, passedBy: built };
  }
  // What is wrong with the product is told first: someone has built it.
  return built ?? installed[0] ?? withoutGlibc() ?? { reason: 'no tfjs-node is built or installed', remedy: INSTALL_REMEDY };
}

/** Why no TensorFlow runs on a Linux with another C library than glibc, undefined elsewhere. */
export function withoutGlibc(): Unavailable | undefined {
  if (process.platform !== 'linux' || nodeReport().header?.glibcVersionRuntime !== undefined) return undefined;
  return { reason: 'TensorFlow has no build for musl (Alpine)', remedy: 'use --engine wasm' };
}

/** Whether a candidate is made for NVIDIA GPUs. */
export function forGpu({ source, record, packageName }: Pick<Candidate, 'source' | 'record' | 'packageName'>): boolean {
  return source === 'built' ? record?.cuda !== undefined : isForGpu(packageName);
}

const isForGpu = (packageName: string): boolean => packageName.endsWith('-gpu');

/** A folder without a record: who has named it expects a product there. */
function inspectNamed({ DETCO_TENSORFLOW_BUILD: named }: NodeJS.ProcessEnv): Unavailable | undefined {
  if (!named) return undefined;
  const reason = `DETCO_TENSORFLOW_BUILD is ${JSON.stringify(named)}, which holds no ${RECORD}`;
  return { reason, remedy: `correct or unset it, or build into it: ${BUILD_COMMAND}` };
}

export function rebuild(reason: string): Unavailable {
  return { reason, remedy: `build it again: ${BUILD_COMMAND}` };
}

function inspectBuilt(folder: string): Candidate | Unavailable | undefined {
  if (!existsSync(join(folder, RECORD))) return undefined;
  const record = readRecord(folder);
  if (record === undefined) return rebuild(`${join(folder, RECORD)} cannot be read`);
  const build = join(folder, record.build);
  const addon = join(build, ADDON);
  const broken = inspectLibrary(addon, record.bytes);
  if (broken !== undefined) return rebuild(broken);
  const unfit = inspectNode(record, rebuild);
  if (unfit !== undefined) return unfit;
  const { packageName, packageVersion } = record;
  const packageFolder = packageIn(build, packageName);
  if (!existsSync(join(packageFolder, 'dist'))) return rebuild(`${packageFolder} is gone, which its build.json names`);
  if (packageVersion !== tfjsVersion()) {
    return rebuild(`it was built from ${packageName} ${packageVersion}, the TensorFlow.js here is ${tfjsVersion()}`);
  }
  const libraryFolder = resolve(build, record.libraryFolder);
  return inspectLibraries(libraryFolder, record) ?? { source: 'built', addon, packageName, packageFolder, libraryFolder, record };
}

function inspectLibraries(folder: string, record: BuildRecord): Unavailable | undefined {
  const bytes = libraryBytes(folder);
  const gone = LIBRARIES.find((_, i) => bytes[i] === 0);
  if (gone !== undefined) {
    return {
      reason: `the TensorFlow ${record.tensorflowVersion} that it was built for is gone from ${folder} (no ${gone})`,
      remedy: currentCommand(record.cuda !== undefined),
    };
  }
  const version = readVersion(folder);
  if (version !== record.tensorflowVersion) {
    return rebuild(`it was built for TensorFlow ${record.tensorflowVersion}, in ${folder} is ${version ?? 'one that tells no version'}`);
  }
  const changed = LIBRARIES.findIndex((_, i) => bytes[i] !== record.libraryBytes[i]);
  return changed === -1
    ? undefined
    : rebuild(
        `it was built for another ${LIBRARIES[changed]} than that in ${folder} (${record.libraryBytes[changed]} bytes, now ${bytes[changed]})`,
      );
}

function inspectInstalled({ name, version, folder }: NodePackage): Candidate | Unavailable {
  const addon = stockAddon(folder);
  if (addon === undefined) {
    return {
      reason: `${name} ${version} in ${folder} has no addon (lib/napi-v*/${ADDON}): its install script did not run, or could not download it`,
      remedy: `npm rebuild ${name} (npm approve-scripts ${name} where npm asks for it), or build it on a current TensorFlow: ${currentCommand(isForGpu(name))}`,
    };
  }
  // Elsewhere than on Linux the file has another format.
  const broken = process.platform === 'linux' ? inspectLibrary(addon) : undefined;
  if (broken !== undefined) return { reason: broken, remedy: `npm rebuild ${name}` };
  const theirs = resolvePackage(CORE, join(tfjsOf(folder), 'package.json'));
  const ours = resolvePackage(CORE, import.meta.url);
  if (theirs !== ours) {
    return {
      reason: `${name} ${version} uses another copy of TensorFlow.js (${theirs ?? 'none is found'}) than detco (${ours}), which would not see its kernels`,
      remedy: `install version ${tfjsVersion()} of it (npm install ${name}@${tfjsVersion()}), then npm dedupe`,
    };
  }
  return { source: 'installed', addon, packageName: name, packageFolder: folder, libraryFolder: join(folder, 'deps/lib') };
}

function tfjsOf(folder: string): string {
  return resolvePackage('@tensorflow/tfjs', join(realpathSync(folder), 'package.json')) ?? folder;
}
