/** Files that look like a LibTorch to who reads them. */

export const NEW_ABI = '_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE';
export const OLD_ABI = '_ZN3c105ErrorC2ENS_14SourceLocationESs';

/** What the layouts have in common. */
export const LIBTORCH_PARTS = {
  'lib/libtorch.so': '',
  'lib/libtorch_cpu.so': '',
  'lib/libc10.so': `\0${NEW_ABI}\0`,
  'include/ATen/ATen.h': '',
};
