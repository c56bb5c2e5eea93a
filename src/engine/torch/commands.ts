/** The commands that make the engine torch run. */
import { COMPILER_PACKAGE } from '../native/toolchain.js';
import { aptLine } from '../native/unavailable.js';
import { CMAKE_PACKAGE } from './toolchain.js';

export const BUILD_COMMAND = 'npx detco engine build torch';

/** Debian and Ubuntu. OpenBLAS, because the reference BLAS that they install otherwise is 30 times slower. */
export const LIBTORCH_PACKAGES = ['libtorch-dev', 'libopenblas0-pthread'] as const;

/** What gives the addon the ways by which tensors pass between ranks. */
export const RANKS_REMEDY = {
  gloo: `with Debian's and Ubuntu's LibTorch: ${aptLine(['libgloo-dev'])} && ${BUILD_COMMAND}; pip's torch brings no headers of Gloo`,
  nccl: `with pip's torch for CUDA: python3 -m pip install nvidia-nccl-cu13 (or -cu12, as torch's CUDA is), then ${BUILD_COMMAND}`,
} as const;

/** From nothing to a built engine, on Debian and Ubuntu. */
export const INSTALL_COMMAND = `${aptLine([...LIBTORCH_PACKAGES, CMAKE_PACKAGE, COMPILER_PACKAGE])} && ${BUILD_COMMAND}`;
