/** Passes through a network in train mode: losses with their gradients, and what is encoded without any. */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, TensorContainer, Variable } from '@tensorflow/tfjs-core';
import type { StepResult } from '../method.js';
import type { Layers, Network, Statistics } from './network.js';

/** What a forward pass makes; `carry` is by default empty. */
type Forward = Omit<StepResult, 'gradients' | 'carry'> & Partial<Pick<StepResult, 'carry'>>;

/**
 * Runs a forward pass and the backward pass through it, then moves the running statistics of the network.
 *
 * @param forward what it gives is the caller's, each tensor once; gradients flow from the loss alone
 * @param parameters by which the loss is differentiated: it has to depend on each
 */
export function differentiate(
  network: Network,
  forward: (layers: Layers) => Forward,
  parameters: ReadonlyMap<string, Variable> = network.parameters,
): StepResult {
  const statistics: Statistics = [];
  const made: Omit<Forward, 'loss'>[] = [];
  const run = (): Scalar => {
    const { loss, ...others } = forward(network.train(statistics));
    tensorsOf(others).forEach((tensor) => tf.keep(tensor));
    made.push(others);
    return loss;
  };
  const { value: loss, grads } = tf.variableGrads(run, [...parameters.values()]);
  network.commit(statistics);
  const [{ terms, featureStd, features, carry = {} }] = made as [Omit<Forward, 'loss'>];
  // TensorFlow.js has names of its own for variables.
  const gradients = Object.fromEntries([...parameters].map(([name, variable]) => [name, grads[variable.name] as Tensor]));
  return {
    loss,
    terms: allReleased(terms),
    featureStd: released(featureStd),
    features: released(features),
    gradients,
    carry: allReleased(carry),
  };
}

function tensorsOf({ terms, featureStd, features, carry = {} }: Omit<Forward, 'loss'>): Tensor[] {
  return [featureStd, features, ...Object.values(terms), ...Object.values(carry)];
}

function allReleased<T extends Tensor>(kept: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(kept).map(([name, tensor]) => [name, released(tensor)]));
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
  // Of what a forward pass makes, only what other gradients need is left when this one is asked for.
  return tf.customGrad((input) => ({ value: f(input as Tensor), gradFunc: () => tf.zeros(x.shape) }))(x) as T;
}
