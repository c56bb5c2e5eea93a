/** CMake and a C++ compiler. */
import { COMPILER_PACKAGE, findCompiler, runs } from '../native/toolchain.js';

export const CMAKE_PACKAGE = 'cmake';

/** Packages of Debian and Ubuntu that bring the tools that do not run here. */
export async function missingTools(env: NodeJS.ProcessEnv): Promise<string[]> {
  const missing: string[] = [];
  if (!(await runs('cmake', env))) missing.push(CMAKE_PACKAGE);
  if ((await findCompiler(env)) === undefined) missing.push(COMPILER_PACKAGE);
  return missing;
}
