/** Where what an engine is built against was looked for. */
import { execFile } from 'node:child_process';
import { promisify, types } from 'node:util';

/** One place that was looked at. */
export interface Place {
  /** `--libtorch DIR`, `$LIBTORCH`, `python3`, `/usr/bin/python3`, `the system`. */
  readonly place: string;
  readonly folder?: string;
  /** What was found, in words. */
  readonly found: string;
}

/** A place that was named, by an option or the environment, and has nothing that can be used. */
export class NamedPlaceError extends Error {
  override readonly name = 'NamedPlaceError';
}

/** The Pythons that are asked unless one is named: the user's, which may be that of an environment, then the system's. */
export const PYTHONS = ['python3', '/usr/bin/python3'] as const;

/** Finds the package without importing it, which would take seconds; the working folder is no place to look in. */
const FIND_PACKAGE = `
import sys
sys.path = [folder for folder in sys.path if folder]
from importlib.util import find_spec
spec = find_spec(sys.argv[1])
print(spec.submodule_search_locations[0] if spec and spec.origin else '')
`;
const PYTHON_MS = 30_000;

const run = promisify(execFile);

/** The folder of a Python's package, or why there is none, in words. */
export async function findPythonPackage(
  python: string,
  name: string,
  env: NodeJS.ProcessEnv,
): Promise<{ folder: string } | { problem: string }> {
  try {
    const folder = (await run(python, ['-c', FIND_PACKAGE, name], { env, timeout: PYTHON_MS })).stdout.trim();
    return folder === '' ? { problem: `no package ${name}` } : { folder };
  } catch (error) {
    return { problem: isAbsent(error) ? `no ${python}` : `it does not run: ${lastLine(error)}` };
  }
}

/** The file of a process is not there. */
export function isAbsent(error: unknown): boolean {
  return types.isNativeError(error) && 'code' in error && error.code === 'ENOENT';
}

/** What a process that failed said last. */
export function lastLine(error: unknown): string {
  const text =
    types.isNativeError(error) && 'stderr' in error && typeof error.stderr === 'string' && error.stderr.trim() ? error.stderr : error;
  return String(text).trim().split('\n').at(-1) ?? '';
}
