/**
 * The BLAS under Debian's LibTorch is the system's `libblas.so.3`: the reference one, unless another was installed. OpenBLAS chooses its kernels
 * by the model of the CPU when it is loaded.
 */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { aptLine } from '../native/unavailable.js';
import { BUILD_COMMAND } from './commands.js';

/**
 * A warning when matrix products will be slow: measured on two cores, 1024x1024: 8 GFLOP/s with the reference BLAS, 242 with OpenBLAS.
 * @param libraryFolder of a LibTorch; one that is not in a system folder brings its own BLAS
 */
export function blasWarning(libraryFolder: string): string | undefined {
  const library = join(libraryFolder, 'libblas.so.3');
  if (!existsSync(library)) return undefined;
  const real = realpathSync(library);
  // Debian's folders: blas/ is the reference one; openblas-pthread/, blis-pthread/, atlas/, and MKL's libmkl_rt.so are tuned.
  if (basename(dirname(real)) !== 'blas') return undefined;
  return `${real} is the reference BLAS, 30 times slower in matrix products than OpenBLAS: ${aptLine(['libopenblas0-pthread'])} && ${BUILD_COMMAND}`;
}

/** What OpenBLAS takes for Intel's and AMD's CPUs that it does not know: kernels without AVX. native/torch/src/blas.cc knows them too. */
const UNKNOWN_CPU = new Set<string | undefined>(['Prescott', 'Barcelona']);
const SKYLAKE_X = ['avx512f', 'avx512cd', 'avx512dq', 'avx512bw', 'avx512vl'];
const HASWELL = ['avx2', 'fma'];

/**
 * The CPU that OpenBLAS has to be told (`OPENBLAS_CORETYPE`), where it took the oldest kernels for one that it does not know, or undefined. Measured
 * on an Emerald Rapids with OpenBLAS 0.3.21, two cores, 1024x1024: 41 GFLOP/s as Prescott, 252 as SkylakeX.
 */
export function openblasCore(chosen: string | undefined, flags: readonly string[]): string | undefined {
  const has = (names: readonly string[]): boolean => names.every((name) => flags.includes(name));
  if (!UNKNOWN_CPU.has(chosen)) return undefined;
  if (has(SKYLAKE_X)) return 'SKYLAKEX';
  return has(HASWELL) ? 'HASWELL' : undefined;
}
