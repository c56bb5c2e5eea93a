/** queue[pointer .. pointer + n) <- keys, as TensorFlow.js operations. */
import * as tf from '@tensorflow/tfjs-core';
import { checkKeys, checkPointer } from '../check.js';
import type { Engine } from '../engine.js';

export const compositeEnqueue: Engine['enqueue'] = (queue, keys, pointer) => {
  checkKeys(queue, keys, pointer);
  const [first = Number.NaN] = pointer.dataSync();
  checkPointer(queue, keys, first);
  tf.tidy(() => {
    const [rows, width] = queue.shape;
    const last = first + (keys.shape[0] ?? 0);
    const parts = [tf.slice(queue, [0, 0], [first, width]), keys, tf.slice(queue, [last, 0], [rows - last, width])];
    queue.assign(tf.concat(parts) as tf.Tensor2D);
  });
};
