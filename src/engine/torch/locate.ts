/**
 * Where LibTorch is, in the order of who meant it most: the option, the environment, Python's, the system's. A place that was named and
 * has none that can be used ends the search, for another one would be a surprise; the others are passed by.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readLibTorch, type LibTorch, type Problem } from './libtorch.js';

/** One place that was looked at. */
export interface Place {
  /** `--libtorch DIR`, `$LIBTORCH`, `python3`, `/usr/bin/python3`, `the system`. */
  readonly place: string;
  readonly folder?: string;
  /** Undefined when it has none. */
  readonly libtorch?: LibTorch;
  /** What was found, in words. */
  readonly found: string;
}

/** A folder that was named, by the option or the environment, and has no LibTorch that can be used. */
export class NamedLibTorchError extends Error {
  override readonly name = 'NamedLibTorchError';
}

export interface LocateOptions {
  /** As for `--libtorch`. */
  readonly libtorch?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Called for each place as soon as it has been looked at. */
  readonly onPlace?: (place: Place) => void;
}

/**
 * The first LibTorch that can be used, or undefined.
 * @throws NamedLibTorchError when `--libtorch` or `$LIBTORCH` names a folder without one
 */
export async function locateLibTorch(options: LocateOptions = {}): Promise<LibTorch | undefined> {
  const { libtorch, env = process.env, onPlace = () => {} } = options;
  for (const [place, folder] of [
    ['--libtorch', libtorch],
    ['$LIBTORCH', env['LIBTORCH']],
  ] as const) {
    if (folder === undefined || (folder === '' && place === '$LIBTORCH')) continue;
    const looked = look(place, folder, env);
    onPlace(looked);
    if (looked.libtorch === undefined) throw new NamedLibTorchError(named(place, folder, looked.found));
    return looked.libtorch;
  }
  for (const python of ['python3', '/usr/bin/python3']) {
    const looked = await lookInPython(python, env);
    onPlace(looked);
    if (looked.libtorch !== undefined) return looked.libtorch;
  }
  for (const prefix of ['/usr', '/usr/local']) {
    const looked = look('the system', prefix, env);
    onPlace(looked);
    if (looked.libtorch !== undefined) return looked.libtorch;
  }
  return undefined;
}

function named(place: string, folder: string, found: string): string {
  const expected = 'expected an unpacked LibTorch, the folder of a Python package torch, or a prefix such as /usr';
  return `${place} ${JSON.stringify(folder)}: ${found}; ${expected}`;
}

function look(place: string, folder: string, env: NodeJS.ProcessEnv): Place {
  const read = readLibTorch(folder, env);
  return 'problem' in read ? { place, folder, found: read.problem } : { place, folder, libtorch: read, found: inWords(read) };
}

/** Finds the package without importing it, which would take seconds; the working folder is no place to look in. */
const FIND_TORCH = `
import sys
sys.path = [folder for folder in sys.path if folder]
from importlib.util import find_spec
spec = find_spec('torch')
print(spec.submodule_search_locations[0] if spec and spec.origin else '')
`;
const PYTHON_MS = 30_000;

const run = promisify(execFile);

async function lookInPython(python: string, env: NodeJS.ProcessEnv): Promise<Place> {
  let folder: string;
  try {
    folder = (await run(python, ['-c', FIND_TORCH], { env, timeout: PYTHON_MS })).stdout.trim();
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return { place: python, found: missing ? `no ${python}` : `it does not run: ${lastLine(error)}` };
  }
  return folder === '' ? { place: python, found: 'no package torch' } : look(python, folder, env);
}

function lastLine(error: unknown): string {
  const text =
    error instanceof Error && 'stderr' in error && typeof error.stderr === 'string' && error.stderr.trim() ? error.stderr : error;
  return String(text).trim().split('\n').at(-1) ?? '';
}

/** One line for people. */
export function inWords({ version, libraryFolder, cxx11Abi, cuda }: LibTorch): string {
  const device = cuda === undefined ? 'CPU' : cuda.missing.length === 0 ? 'CUDA' : 'CUDA (without headers)';
  return `LibTorch ${version}, ${device}${cxx11Abi ? '' : ', pre-C++11 ABI'}, libraries in ${libraryFolder}`;
}

export type { LibTorch, Problem };
