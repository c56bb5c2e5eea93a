/** A loss and its gradients, with what else is to be known of its forward pass. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Network, Statistics } from './network.js';

export interface Differentiated {
  readonly loss: Scalar;
  /** What the forward pass watched, by name. */
  readonly watched: Record<string, Scalar>;
  /** Of the loss, by parameter. */
  readonly gradients: Record<string, Tensor>;
}

/**
 * Runs a forward pass and the backward pass through it, then moves the running statistics of the network.
 *
 * @param forward gives the loss; `watch` keeps a scalar that no gradient flows from, and `statistics` are for `Network.train`
 */
export function differentiate(
  network: Network,
  parameters: ReadonlyMap<string, Variable>,
  forward: (watch: (name: string, value: Scalar) => void, statistics: Statistics) => Scalar,
): Differentiated {
  const statistics: Statistics = [];
  const kept = new Map<string, Scalar>();
  const watch = (name: string, value: Scalar): void => void kept.set(name, tf.keep(value));
  const { value: loss, grads } = tf.variableGrads(() => forward(watch, statistics), [...parameters.values()]);
  network.commit(statistics);
  return {
    loss,
    watched: Object.fromEntries([...kept].map(([name, value]) => [name, released(value)])),
    // TensorFlow.js has names of its own for variables.
    gradients: Object.fromEntries([...parameters].map(([name, variable]) => [name, grads[variable.name] as Tensor])),
  };
}

/** A kept tensor handed back to the scope of the caller. */
function released<T extends Tensor>(kept: T): T {
  const tensor = tf.clone(kept);
  kept.dispose();
  return tensor;
}

/** What `f` makes of `x` as a constant: no gradient flows through it, and `f` may do what has none. */
export function constantOf<T extends Tensor>(x: Tensor, f: (x: Tensor) => T): T {
  return tf.customGrad((input) => ({ value: f(input as Tensor), gradFunc: () => tf.zerosLike(input as Tensor) }))(x) as T;
}
