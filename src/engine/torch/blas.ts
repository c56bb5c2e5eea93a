/** The BLAS under Debian's LibTorch is the system's `libblas.so.3`: the reference one, unless another was installed. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { aptLine } from '../native/unavailable.js';

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
  return `${real} is the reference BLAS, 30 times slower in matrix products than OpenBLAS: ${aptLine(['libopenblas0-pthread'])}`;
}
