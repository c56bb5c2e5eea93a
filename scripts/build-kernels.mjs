/**
 * Compiles the AssemblyScript kernels: src/X/assembly/index.ts -> dist/X/kernels.wasm.
 *
 * Kernels take pointers and allocate nothing, so the stub runtime is enough. The engine's kernels import the memory of
 * the TensorFlow.js WebAssembly backend and work on its tensors in place; the pipeline's kernels own their memory.
 */
import { mkdir } from 'node:fs/promises';
import { main as compile } from 'assemblyscript/asc';

const COMMON = ['--runtime', 'stub', '--optimizeLevel', '3', '--noAssert', '--converge', '--enable', 'simd'];
const MODULES = [
  { folder: 'pipeline/augment', options: [] },
  { folder: 'pipeline/jpeg', options: [] },
  { folder: 'engine/wasm', options: ['--importMemory'] },
  // The same with fused multiply-adds, for V8s that know relaxed SIMD (Node 22 and later).
  { folder: 'engine/wasm', file: 'kernels-relaxed', options: ['--importMemory', '--enable', 'relaxed-simd'] },
];

for (const { folder, file = 'kernels', options } of MODULES) {
  await mkdir(`dist/${folder}`, { recursive: true });
  const { error, stderr } = await compile([
    `src/${folder}/assembly/index.ts`,
    '--outFile',
    `dist/${folder}/${file}.wasm`,
    ...COMMON,
    ...options,
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}
