/** Which kernels an engine brings, and which of them a test reaches. */
import { getKernelsForBackend } from '@tensorflow/tfjs-core';

/** Kernel functions by name. Before an engine starts: those of the TensorFlow.js backend that it builds on, if any. */
export function registered(backendName) {
  return new Map(getKernelsForBackend(backendName).map(({ kernelName, kernelFunc }) => [kernelName, kernelFunc]));
}

export class Kernels {
  /** Names of the kernels that the engine registers, or a package that it loads. */
  claimed;
  /** Whether nobody else registers kernels of this backend, so that the engine answers for everything that happens on it. */
  ownsBackend;
  /** Names of the claimed kernels that ran since it was last cleared, in the order of their first run. */
  used = new Set();

  /** @param stock what `registered` gave before the engine started */
  constructor(backendName, stock) {
    const ours = getKernelsForBackend(backendName).filter(({ kernelName, kernelFunc }) => stock.get(kernelName) !== kernelFunc);
    this.claimed = ours.map(({ kernelName }) => kernelName).toSorted();
    this.ownsBackend = stock.size === 0;
    for (const kernel of ours) {
      const { kernelName, kernelFunc } = kernel;
      kernel.kernelFunc = (call) => {
        this.used.add(kernelName);
        return kernelFunc(call);
      };
    }
  }
}

/**
 * Keeps the backend through `reset`, which the suite calls around each group of tests to forget its tensors: backends that start anew
 * four hundred times cost minutes, and kernels that share a backend's memory belong to the one they were started with.
 */
export function keepBackend(tfEngine) {
  const { reset } = tfEngine;
  tfEngine.reset = () => {
    const { registry } = tfEngine;
    tfEngine.registry = {};
    reset.call(tfEngine);
    tfEngine.registry = registry;
  };
}
