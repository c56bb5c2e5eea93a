/** SGD as TensorFlow.js operations: v <- m v + (g + d p); p <- p - lr v. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkPairs, checkScalar } from '../check.js';
import type { Engine } from '../engine.js';

export const compositeSgd: Engine['sgd'] = (parameters, gradients, velocities, { learningRate, momentum, weightDecay }) => {
  checkPairs('gradients', parameters, gradients);
  checkPairs('velocities', parameters, velocities);
  checkScalar('learning rate', learningRate, 'float32');
  parameters.forEach((parameter, i) =>
    tf.tidy(() => {
      const velocity = velocities[i] as Variable;
      const gradient = tf.add(gradients[i] as Tensor, tf.mul(parameter, weightDecay));
      velocity.assign(tf.add(tf.mul(velocity, momentum), gradient));
      parameter.assign(tf.sub(parameter, tf.mul(velocity, learningRate)));
    }),
  );
};
