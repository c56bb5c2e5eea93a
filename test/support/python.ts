/** Pythons of this machine, for tests that ask other people's programs. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, test } from '@jest/globals';

const CANDIDATES = ['python3', '/usr/bin/python3'];

/** The first Python that can import all of these, or undefined. */
function pythonWith(...modules: readonly string[]): string | undefined {
  return CANDIDATES.find((python) => {
    try {
      execFileSync(python, ['-c', modules.map((name) => `import ${name}`).join('; ')], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

export interface Python {
  readonly describe: typeof describe.skip;
  readonly test: typeof test.skip;
  /** Why they skip; empty where they do not. It belongs at the end of titles. */
  readonly note: string;
  readonly executable: string;
  /** Runs a script, and gives what it printed as JSON. */
  run<Result>(script: string, ...args: readonly string[]): Promise<Result>;
}

/** `describe` and `test` where there is a Python with these modules, else what skips. */
export function wherePythonHas(...modules: readonly string[]): Python {
  const python = pythonWith(...modules);
  const executable = python ?? 'python3';
  const run = async <Result>(script: string, ...args: readonly string[]): Promise<Result> => {
    const { stdout } = await promisify(execFile)(executable, [script, ...args], { maxBuffer: 1 << 26 });
    return JSON.parse(stdout) as Result;
  };
  if (python !== undefined) return { describe, test, note: '', executable, run };
  return { describe: describe.skip, test: test.skip, note: ` (skipped: no python3 with ${modules.join(', ')})`, executable, run };
}
