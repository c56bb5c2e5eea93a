/**
 * Compiles the AssemblyScript kernels: src/X/assembly/index.ts -> dist/X/kernels.wasm.
 *
 * Kernels take pointers and allocate nothing, so the stub runtime is enough. The engine's kernels import the memory of
 * the TensorFlow.js WebAssembly backend and work on its tensors in place; the pipeline's kernels own their memory.
 *
 * What is newer than its sources, this script and the lock file is left as it is.
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { main as compile } from 'assemblyscript/asc';

const COMMON = ['--runtime', 'stub', '--optimizeLevel', '3', '--noAssert', '--converge', '--enable', 'simd'];
const MODULES = [
  { folder: 'pipeline/augment', options: [] },
  { folder: 'pipeline/jpeg', options: [] },
  { folder: 'engine/wasm', options: ['--importMemory'] },
  // The same with fused multiply-adds, for V8s that know relaxed SIMD (Node 22 and later).
  { folder: 'engine/wasm', file: 'kernels-relaxed', options: ['--importMemory', '--enable', 'relaxed-simd'] },
];

const modified = async (path) => (await stat(path)).mtimeMs;
// Modules import from each other's folders. A folder is newer when a file in it has gone.
const sources = await Promise.all(
  MODULES.map(async ({ folder }) => {
    const path = `src/${folder}/assembly`;
    return [path, ...(await readdir(path)).map((name) => join(path, name))];
  }),
);
const changed = Math.max(...(await Promise.all(['scripts/build-kernels.mjs', 'package-lock.json', ...sources.flat()].map(modified))));

for (const { folder, file = 'kernels', options } of MODULES) {
  const outFile = `dist/${folder}/${file}.wasm`;
  if ((await modified(outFile).catch(() => 0)) > changed) continue;
  await mkdir(`dist/${folder}`, { recursive: true });
  const { error, stderr } = await compile([`src/${folder}/assembly/index.ts`, '--outFile', outFile, ...COMMON, ...options]);
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}
