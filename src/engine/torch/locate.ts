/**
 * Where LibTorch is, in the order of who meant it most: the option, the environment, Python's, the system's. A place that was named and
 * has none that can be used ends the search, for another one would be a surprise; the others are passed by.
 */
import { findPythonPackage, NamedPlaceError, PYTHONS, type Place } from '../native/place.js';
import { readLibTorch, type LibTorch, type Problem } from './libtorch.js';

export interface TorchPlace extends Place {
  /** Undefined when it has none. */
  readonly libtorch?: LibTorch;
}

export interface LocateOptions {
  /** As for `--libtorch`. */
  readonly libtorch?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** Called for each place as soon as it has been looked at. */
  readonly onPlace?: (place: TorchPlace) => void;
}

/**
 * The first LibTorch that can be used, or undefined.
 * @throws NamedPlaceError when `--libtorch` or `$LIBTORCH` names a folder without one
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
    if (looked.libtorch === undefined) throw new NamedPlaceError(named(place, folder, looked.found));
    return looked.libtorch;
  }
  for (const python of PYTHONS) {
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

function look(place: string, folder: string, env: NodeJS.ProcessEnv): TorchPlace {
  const read = readLibTorch(folder, env);
  return 'problem' in read ? { place, folder, found: read.problem } : { place, folder, libtorch: read, found: inWords(read) };
}

async function lookInPython(python: string, env: NodeJS.ProcessEnv): Promise<TorchPlace> {
  const found = await findPythonPackage(python, 'torch', env);
  return 'problem' in found ? { place: python, found: found.problem } : look(python, found.folder, env);
}

/** One line for people. */
export function inWords({ version, libraryFolder, cxx11Abi, cuda }: LibTorch): string {
  const device = cuda === undefined ? 'CPU' : cuda.missing.length === 0 ? 'CUDA' : 'CUDA (without headers)';
  return `LibTorch ${version}, ${device}${cxx11Abi ? '' : ', pre-C++11 ABI'}, libraries in ${libraryFolder}`;
}

export type { LibTorch, Problem };
