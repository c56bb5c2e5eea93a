/** Passes through a network in train mode: losses with their gradients, and what is encoded without any. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, TensorContainer, Variable } from '@tensorflow/tfjs-core';
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
  forward: (layers: Layers) => Pick<StepResult, 'loss' | 'terms' | 'featureStd'>,
  parameters: ReadonlyMap<string, Variable> = network.parameters,
): Omit<StepResult, 'carry'> {
  const statistics: Statistics = [];
  const kept = new Map<string, Scalar>();
  const run = (): Scalar => {
    const { loss, terms, featureStd } = forward(network.train(statistics));
    for (const [name, scalar] of Object.entries({ ...terms, featureStd })) kept.set(name, tf.keep(scalar));
    return loss;
  };
  const { value: loss, grads } = tf.variableGrads(run, [...parameters.values()]);
  network.commit(statistics);
  const { featureStd, ...terms } = Object.fromEntries([...kept].map(([name, scalar]) => [name, released(scalar)]));
  // TensorFlow.js has names of its own for variables.
  const gradients = Object.fromEntries([...parameters].map(([name, variable]) => [name, grads[variable.name] as Tensor]));
  return { loss, terms, featureStd: featureStd as Scalar, gradients };
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
