/** Kernels over the memory of the TensorFlow.js WebAssembly backend. They take addresses and allocate nothing. */
export { packPanels, convolve, multiply, multiplyScratch } from './gemm';
export { filterGradient, multiplyTransposed } from './outer';
export { batchNorm, batchNormScratch, batchNormGradient, batchNormGradientScratch } from './norm';
export { maxPoolGradient } from './pool';
export { sumSegments } from './rows';
export { sgd, lerp, normaliseImages } from './update';
export { exponential } from './exponential';
