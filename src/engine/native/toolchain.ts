/** The tools that compile an addon. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The package of Debian and Ubuntu that brings a C++ compiler. */
export const COMPILER_PACKAGE = 'g++';

/** The C++ compiler: `$CXX` and no other where it is set. Undefined when none runs here. */
export async function findCompiler(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const names = env['CXX'] ? [env['CXX']] : ['c++', 'g++', 'clang++'];
  const found = await Promise.all(names.map((name) => runs(name, env)));
  return names.find((_, i) => found[i]);
}

/** What a message calls the compiler that `findCompiler` did not find. */
export function missingCompiler({ CXX }: NodeJS.ProcessEnv): string {
  return `a C++ compiler${CXX ? ` (CXX is ${JSON.stringify(CXX)}, which is no command that runs: correct or unset it)` : ''}`;
}

export async function runs(tool: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    await run(tool, ['--version'], { env });
    return true;
  } catch {
    return false;
  }
}

/** The folder of Node-API's headers. */
export function nodeHeaders(): string {
  return (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
}
