/**
 * The augmentation kernels. Images are interleaved RGB bytes, row after row without gaps, at addresses the caller
 * chose; nothing is allocated here. Kernels work on whole vectors, so up to SLACK bytes after an image may be read and
 * overwritten with garbage.
 */
export { transform } from './affine';
export { narrowBlur } from './narrow-blur';
export { point } from './point';
export { mirror, cutPatches, quarterTurn } from './place';
export { cropResize } from './resize';
export { sharpen } from './sharpen';
export { autoContrast, equalize } from './table';
export { wideBlur } from './wide-blur';

/** First address the caller may use. */
export function arenaStart(): usize {
  return __heap_base;
}
