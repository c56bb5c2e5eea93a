/**
 * What `detco engine build tensorflow` leaves in `native/tensorflow/build`: a folder of the build, which holds the addon, the npm package's
 * JavaScript and, where a wheel was given, TensorFlow's libraries; and `build.json`, which names that folder and what it was built from. A
 * build is the current one from the moment that its build.json is renamed into place.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AddonRecord, findUp, readAddonRecord } from '../native/product.js';

/** build.json */
export interface BuildRecord extends AddonRecord {
  /** Name of the build's folder beside it. */
  readonly build: string;
  readonly tensorflowVersion: string;
  /** Where the libraries lie; relative to the build's folder when they came from a wheel. */
  readonly libraryFolder: string;
  /** Of `LIBRARIES`. */
  readonly libraryBytes: readonly number[];
  /** The CUDA that TensorFlow was built with. */
  readonly cuda?: string;
  /** The npm package whose binding was compiled. */
  readonly packageName: string;
  readonly packageVersion: string;
  readonly compiler: string;
}

/** The newest that tfjs-node's binding is published for. */
export const NODE_API = 8;
export const ADDON = 'tfjs_binding.node';
export const RECORD = 'build.json';

/** `$DETCO_TENSORFLOW_BUILD`, or `native/tensorflow/build` of this package. */
export function buildFolder(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['DETCO_TENSORFLOW_BUILD'];
  if (named) return resolve(named);
  const here = dirname(fileURLToPath(import.meta.url));
  return join(findUp(here, (folder) => existsSync(join(folder, 'package.json'))) ?? here, 'native/tensorflow/build');
}

/** The record in a build folder; undefined when there is none that can be read. */
export function readRecord(folder: string): BuildRecord | undefined {
  const strings = ['build', 'tensorflowVersion', 'libraryFolder', 'packageName', 'packageVersion'] as const;
  return readAddonRecord<BuildRecord>(join(folder, RECORD), strings, 'libraryBytes');
}

/** The npm package inside a folder of a build. */
export function packageIn(build: string, name: string): string {
  return join(build, 'node_modules', name);
}
