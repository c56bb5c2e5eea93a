/**
 * Engines: TensorFlow.js backends with the training kernels that TensorFlow.js lacks. `selectEngine` starts one, `inspectEngines` says
 * what works here. To add an engine: a folder with `createEngine` and `unavailable`, and its line in `ENGINES`.
 */
import { expectedOneOf } from '../common/nearest.js';
import { ENGINE_NAMES } from './engine.js';
import { resolveOptions } from './check.js';
import type { Engine, EngineName, EngineOptions } from './engine.js';
import { UnavailableError, type Unavailable } from './native/unavailable.js';
import type { Company, CompanyPlace } from './company.js';
import { inspectTfjs } from './packages.js';

export { ENGINE_NAMES, PRECISIONS } from './engine.js';
export type {
  Engine,
  EngineName,
  EngineOptions,
  GroupedBatchNormResult,
  NamedTensors,
  Precision,
  SgdOptions,
  UploadedAs,
} from './engine.js';
export type { DecodedImages, ImageCut, JpegDecoder, JpegFile } from './jpeg-decoder.js';
export type { PictureStep } from './picture-step.js';
export { type Company, CompanyError, type CompanyPlace, MEETING_MS } from './company.js';
export type { Ranks } from './ranks.js';
export { IMAGE_MEAN, IMAGE_STD } from './images.js';

interface EngineModule {
  unavailable(): Promise<Unavailable | undefined>;
  /** @throws when the engine has not what the options ask for; the message quotes it and says which engine has. */
  createEngine(options: EngineOptions): Promise<Engine>;
}

interface EngineEntry {
  readonly name: EngineName;
  readonly description: string;
  /** Loaded only when asked for, so that no tensor library is paid for unused. */
  readonly load: () => Promise<EngineModule>;
}

/** Best first: the order in which `auto` tries them. */
const ENGINES: readonly EngineEntry[] = [
  {
    name: 'torch',
    description: 'LibTorch through a Node-API addon: oneDNN on CPUs, cuDNN on NVIDIA GPUs',
    load: () => import('./torch/index.js'),
  },
  {
    name: 'tensorflow',
    description: 'TensorFlow through tfjs-node: CPUs and NVIDIA GPUs',
    load: () => import('./tensorflow/index.js'),
  },
  {
    name: 'wasm',
    description: 'TensorFlow.js WebAssembly with SIMD: one CPU core, any machine',
    load: () => import('./wasm/index.js'),
  },
];

/** The state of one engine on this machine. */
export interface EngineReport {
  readonly name: EngineName;
  readonly available: boolean;
  readonly description: string;
  /** Why it is not available. */
  readonly reason?: string;
  /** What makes it available, or what to use instead. */
  readonly remedy?: string;
}

/** The state of every engine, in the order in which `auto` prefers them. Starts none. */
export async function inspectEngines(): Promise<EngineReport[]> {
  return Promise.all(
    ENGINES.map(async (entry) => {
      const missing = await missingFor(entry);
      return { name: entry.name, description: entry.description, available: missing === undefined, ...missing };
    }),
  );
}

/**
 * Starts an engine and makes it the current TensorFlow.js backend. `auto` takes the first available one.
 * @throws when the name or an option is unknown, or the engine cannot run here or so; the message says why and what to do.
 */
export async function selectEngine(name: 'auto' | EngineName, options: EngineOptions = {}): Promise<Engine> {
  if (name !== 'auto' && !ENGINE_NAMES.includes(name)) {
    throw new Error(`unknown engine "${String(name)}": ${expectedOneOf(String(name), ['auto', ...ENGINE_NAMES])}`);
  }
  const resolved = resolveOptions(options);
  for (const entry of ENGINES.filter((candidate) => name === 'auto' || candidate.name === name)) {
    try {
      const missing = await missingFor(entry);
      if (missing === undefined) return await started(entry, resolved);
      if (name !== 'auto') throw new Error(`engine "${name}" is not available: ${missing.reason}; ${missing.remedy}`);
    } catch (error) {
      // What is there and does not load is passed by, not in silence.
      if (!(error instanceof UnavailableError)) throw error;
      const problem = `engine "${entry.name}" is not available: ${error.message}`;
      if (name !== 'auto') throw new Error(problem, { cause: error });
      process.emitWarning(`${problem}; the next one is tried`);
    }
  }
  throw new Error(`engine "${name}" is not available: no engine runs on this machine; run "detco doctor"`);
}

/**
 * Meets the other processes that train with this one; `EngineOptions.company` then gives an engine its ranks. Of all engines torch alone
 * has any.
 * @param signal ends the waiting for those that have not come
 * @throws CompanyError when they do not come, Error where the engine is not available, the signal's reason
 */
export async function meet(place: CompanyPlace, signal?: AbortSignal): Promise<Company> {
  const { openCompany } = await import('./torch/company.js');
  return openCompany(place, { signal }).catch((error: unknown) => {
    if (!(error instanceof UnavailableError)) throw error;
    throw new Error(`${place.size} ranks need the engine torch, which is not available: ${error.message}`, { cause: error });
  });
}

async function missingFor({ load }: EngineEntry): Promise<Unavailable | undefined> {
  return inspectTfjs() ?? (await load()).unavailable();
}

async function started({ load }: EngineEntry, options: EngineOptions): Promise<Engine> {
  return (await load()).createEngine(options);
}
