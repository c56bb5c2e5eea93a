/**
 * Loads tfjs-node's addon and its kernels, or says why they cannot be loaded and what to do. The package's own entry is not used: it insists on
 * its own addon and makes itself the current backend.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import util from 'node:util';
import { loadAddon } from '../native/load-addon.js';
import { UnavailableError, type Unavailable } from '../native/unavailable.js';
import type { Binding, NodeBackend } from './binding.js';
import { chooseCandidate } from './candidate.js';
import { explain } from './explain.js';

export interface TensorFlow {
  readonly binding: Binding;
  /** A new TensorFlow.js backend over the addon. Its kernels are registered, under the name `tensorflow`. */
  createBackend(): NodeBackend;
  /** `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node` */
  readonly packageName: string;
  /** Whether `detco engine build tensorflow` has made it, or it is the npm package as it was installed. */
  readonly source: 'built' | 'installed';
  /** Where TensorFlow's libraries lie. */
  readonly libraryFolder: string;
}

/** Why the engine cannot be loaded as far as files tell, or undefined. Loads nothing: a few milliseconds. */
export function inspectTensorFlow(env: NodeJS.ProcessEnv = process.env, project: string = process.cwd()): Unavailable | undefined {
  const candidate = chooseCandidate(env, project);
  return 'reason' in candidate ? candidate : undefined;
}

/**
 * TensorFlow through tfjs-node. Loading the addon makes TensorFlow's context: once a process, which is up to who calls this.
 * @throws UnavailableError with the reason and the remedy
 */
export function loadTensorFlow(env: NodeJS.ProcessEnv = process.env, project: string = process.cwd()): TensorFlow {
  const candidate = chooseCandidate(env, project);
  if ('reason' in candidate) throw new UnavailableError(candidate);
  const { addon, packageName, packageFolder, source, libraryFolder } = candidate;
  quieten();
  // First, so that a package that is broken leaves no context behind.
  const NodeBackend = loadKernels(packageFolder);
  let binding: Binding;
  try {
    binding = loadAddon(addon) as Binding;
  } catch (error) {
    throw new UnavailableError(explain(error instanceof Error ? error.message : String(error), candidate), { cause: error });
  }
  return { binding, createBackend: () => new NodeBackend(binding, packageName), packageName, source, libraryFolder };
}

/**
 * TensorFlow tells on stderr, in several lines, which instructions it uses and which CUDA libraries it has found, and warns of every large
 * allocation. `detco doctor` tells what matters of that; errors are still shown, and a level that the user has set is left. Two lines about
 * oneDNN stay with TensorFlow 2.21, which writes them before it reads the level.
 */
function quieten(): void {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
}

type NodeBackendClass = new (binding: Binding, packageName: string) => NodeBackend;

/** Registers the package's kernels and gives its backend. */
function loadKernels(packageFolder: string): NodeBackendClass {
  restoreUtil();
  const require = createRequire(join(packageFolder, 'package.json'));
  const { NodeJSKernelBackend } = require('./dist/nodejs_kernel_backend.js') as { NodeJSKernelBackend: NodeBackendClass };
  require('./dist/register_all_kernels.js');
  return NodeJSKernelBackend;
}

/** tfjs-node 4.22 calls functions of `util` that Node 22 warns of and Node 23 lacks. */
function restoreUtil(): void {
  Object.assign(util, {
    isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    isArray: (value: unknown) => Array.isArray(value),
  });
}
