/** Packages as Node finds them: TensorFlow.js is a peer dependency, which an install of the pipeline alone leaves out. */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { Unavailable } from './native/unavailable.js';

export const CORE = '@tensorflow/tfjs-core';
export const WASM = '@tensorflow/tfjs-backend-wasm';

/** A package's folder as seen from a file, undefined where it is not seen. */
export function resolvePackage(name: string, from: string): string | undefined {
  try {
    return realpathSync(dirname(createRequire(from).resolve(`${name}/package.json`)));
  } catch {
    return undefined;
  }
}

/** Why nothing that needs this part of TensorFlow.js runs here, or undefined. */
export function inspectTfjs(name: typeof CORE | typeof WASM = CORE): Unavailable | undefined {
  return resolvePackage(name, import.meta.url) === undefined
    ? { reason: `${name} is not installed`, remedy: `npm install ${CORE}@4 ${WASM}@4` }
    : undefined;
}
