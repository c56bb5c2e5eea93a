/**
 * Registers the gradients of TensorFlow.js's operations and the methods of its tensors when it is imported. Bundled out of
 * `@tensorflow/tfjs-core` by scripts/build-tfjs-extras.mjs.
 */

/** Of the tfjs-core that they come from. */
export declare const version: string;
