/** `detco`: everything. `detco/pipeline` alone loads no tensor library. */
export * from './pipeline/index.js';
export * from './engine/index.js';
export * from './model/index.js';
export * from './train/index.js';
