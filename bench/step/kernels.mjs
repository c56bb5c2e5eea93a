/**
 * Times every kernel of the current TensorFlow.js backend, and the engine's own operations, by taking their place. Each waits for its
 * device, so the sum is more than a step takes where kernels otherwise overlap: read shares, and times of single kernels.
 */
import * as tf from '@tensorflow/tfjs-core';

/** Operations of an engine that are not kernels of its backend. */
const OPERATIONS = ['upload', 'sgd', 'lerp', 'enqueue'];

/** Starts timing; must be called before anything keeps a function of the engine. */
export function timeKernels(engine) {
  const device = engine.device === 'cpu' ? undefined : tf.backend().torch?.addon;
  if (engine.device !== 'cpu' && device === undefined) {
    throw new Error(`--kernels on ${engine.device}: only engine torch can wait for it after each kernel; leave --kernels away`);
  }
  const synchronise = () => device?.synchronize();
  const totals = new Map();
  /** Milliseconds that kernels called by the one at hand took, outermost first. */
  const nested = [0];

  const timed = (name, work) =>
    function (...args) {
      synchronise();
      nested.push(0);
      const start = performance.now();
      try {
        const result = work.apply(this, args);
        synchronise();
        return result;
      } finally {
        const all = performance.now() - start;
        const inner = nested.pop();
        nested[nested.length - 1] += all;
        const total = totals.get(name) ?? { calls: 0, ms: 0 };
        totals.set(name, { calls: total.calls + 1, ms: total.ms + all - inner });
      }
    };

  const backend = tf.getBackend();
  for (const config of tf.getKernelsForBackend(backend)) {
    tf.unregisterKernel(config.kernelName, backend);
    tf.registerKernel(Object.assign({}, config, { kernelFunc: timed(config.kernelName, config.kernelFunc) }));
  }
  for (const name of OPERATIONS) engine[name] = timed(name, engine[name]);

  return {
    reset: () => totals.clear(),
    /** Calls and milliseconds a step, and the share of all, largest first. */
    rows(steps) {
      const sum = [...totals.values()].reduce((all, { ms }) => all + ms, 0);
      return [...totals]
        .map(([name, { calls, ms }]) => ({ name, calls: calls / steps, ms: ms / steps, share: ms / sum }))
        .toSorted((a, b) => b.ms - a.ms);
    },
  };
}
