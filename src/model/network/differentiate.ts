/** Passes through a network in train mode: losses with their gradients, and what is encoded without any. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, TensorContainer, Variable } from '@tensorflow/tfjs-core';
import type { StepResult } from '../method.js';
import type { Layers, Network, Statistics } from './network.js';

/**
 * Runs a forward pass and the backward pass through it, then moves the running statistics of the network.
 *
 * @param forward what it gives is the caller's; gradients flow from the loss alone
 * @param parameters by which the loss is differentiated: it has to depend on each
 */
export function differentiate(
  network: Network,
  forward: (layers: Layers) => Omit<StepResult, 'gradients' | 'carry'>,
  parameters: ReadonlyMap<string, Variable> = network.parameters,
): Omit<StepResult, 'carry'> {
  const statistics: Statistics = [];
  const kept = new Map<string, Tensor>();
  const run = (): Scalar => {
    const { loss, terms, featureStd, features } = forward(network.train(statistics));
    for (const [name, tensor] of Object.entries({ ...terms, featureStd, features })) kept.set(name, tf.keep(tensor));
    return loss;
  };
  const { value: loss, grads } = tf.variableGrads(run, [...parameters.values()]);
  network.commit(statistics);
  const { featureStd, features, ...terms } = Object.fromEntries([...kept].map(([name, tensor]) => [name, released(tensor)]));
  // TensorFlow.js has names of its own for variables.
  const gradients = Object.fromEntries([...parameters].map(([name, variable]) => [name, grads[variable.name] as Tensor]));
  return { loss, terms: terms as Record<string, Scalar>, featureStd: featureStd as Scalar, features: features as Tensor2D, gradients };
}

/** What a forward pass gives, without gradient; then moves the running statistics of the network. */
export function encode<T extends TensorContainer>(network: Network, forward: (layers: Layers) => T): T {
  const statistics: Statistics = [];
  const encoded = tf.tidy(() => forward(network.train(statistics)));
  network.commit(statistics);
  return encoded;
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
