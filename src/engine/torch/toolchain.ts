/** CMake and a C++ compiler. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TOOL_PACKAGES } from './unavailable.js';

const run = promisify(execFile);

/** Packages of Debian and Ubuntu that bring the tools that do not run here. */
export async function missingTools(env: NodeJS.ProcessEnv): Promise<string[]> {
  const compilers = env['CXX'] ? [env['CXX']] : ['c++', 'g++', 'clang++'];
  const missing: string[] = [];
  if (!(await runs('cmake', env))) missing.push(TOOL_PACKAGES.cmake);
  if (!(await Promise.all(compilers.map((compiler) => runs(compiler, env)))).includes(true)) missing.push(TOOL_PACKAGES.compiler);
  return missing;
}

async function runs(tool: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    await run(tool, ['--version'], { env });
    return true;
  } catch {
    return false;
  }
}
