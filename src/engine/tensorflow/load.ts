/** Loads tfjs-node's kernels and its addon. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import type { Binding, NodeBackend } from './binding.js';

export interface TensorFlow {
  readonly binding: Binding;
  /** A new backend over the addon. */
  createBackend(): NodeBackend;
  readonly packageName: string;
  /** Where it is from, for people. */
  readonly source: string;
}

const FOLDER = fileURLToPath(new URL('../../../native/tensorflow/build', import.meta.url));

export function inspectTensorFlow(): { reason: string; remedy: string } | undefined {
  const file = join(FOLDER, 'tfjs_binding.node');
  return existsSync(file) ? undefined : { reason: `its addon is not built (no ${file})`, remedy: 'npx detco engine build tensorflow' };
}

/** tfjs-node 4.22 uses functions of `util` that Node 23 has removed. */
function restoreUtil(): void {
  const mutable = util as unknown as Record<string, unknown>;
  mutable['isNullOrUndefined'] ??= (value: unknown): boolean => value === null || value === undefined;
  mutable['isArray'] ??= Array.isArray;
}

let loaded: TensorFlow | undefined;

export function loadTensorFlow(): TensorFlow {
  if (loaded !== undefined) return loaded;
  restoreUtil();
  const require = createRequire(join(FOLDER, 'package/package.json'));
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, join(FOLDER, 'tfjs_binding.node'), constants.dlopen.RTLD_NOW);
  const binding = module.exports as Binding;
  const { NodeJSKernelBackend } = require('./dist/nodejs_kernel_backend.js') as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => NodeBackend;
  };
  require('./dist/register_all_kernels.js');
  const packageName = '@tensorflow/tfjs-node';
  loaded = { binding, createBackend: () => new NodeJSKernelBackend(binding, packageName), packageName, source: FOLDER };
  return loaded;
}
