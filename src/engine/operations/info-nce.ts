/**
 * InfoNCE as the tape sees it: `infoNce` over an engine's own kernel, `compositeInfoNce` over TensorFlow.js operations.
 *
 * InfoNce(q, keys, queue; temperature) -> loss [], gradient [N, D]
 *
 * The gradient is made along with the loss: N x K logits (64 MiB for a batch of 256 against 65536 keys) live no longer than
 * this call, where a tape would keep several such tensors for each of DetCo's twelve terms.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine.js';
import { at, runKernel } from '../kernel.js';

export const InfoNce = 'InfoNce';

export interface InfoNceInputs {
  readonly q: TensorInfo;
  readonly keys: TensorInfo;
  readonly queue: TensorInfo;
}

export interface InfoNceAttrs {
  readonly temperature: number;
}

/** The loss, and its gradient by the queries. */
type LossAndGradient = (q: Tensor2D, keys: Tensor2D, queue: Tensor2D, temperature: number) => readonly [loss: Tensor, gradient: Tensor];

/** `Engine.infoNce` for an engine that registers the kernel. The gradient comes with it: nothing else is to be registered. */
export const infoNce: Engine['infoNce'] = onTape((q, keys, queue, temperature) => {
  const outputs = runKernel(InfoNce, { q, keys, queue }, { temperature });
  return [at(outputs, 0), at(outputs, 1)];
});

/** Logits that are held at once, 128 MiB of float32 a tensor: dense methods have 49 rows for each image of a batch. */
const BLOCK_LOGITS = 1 << 25;

/** `Engine.infoNce` as TensorFlow.js operations. */
export const compositeInfoNce: Engine['infoNce'] = onTape((q, keys, queue, temperature) =>
  tf.tidy(() => {
    const [count, width] = q.shape;
    const rows = Math.max(1, Math.floor(BLOCK_LOGITS / queue.shape[0]));
    if (count <= rows) {
      const [each, gradient] = lossOfRows(q, keys, queue, temperature, count);
      return [tf.mean(each), gradient] as [Tensor, Tensor];
    }
    const blocks = Array.from({ length: Math.ceil(count / rows) }, (_, block) => {
      const first = block * rows;
      const part = (x: Tensor2D) => tf.slice(x, [first, 0], [Math.min(rows, count - first), width]);
      return tf.tidy(() => lossOfRows(part(q), part(keys), queue, temperature, count));
    });
    return [tf.mean(tf.concat(blocks.map(([each]) => each))), tf.concat(blocks.map(([, gradient]) => gradient))] as [Tensor, Tensor];
  }),
);

/** Of some of `count` queries: the loss of each, [n, 1], and their gradients of the mean, [n, D]. */
function lossOfRows(q: Tensor2D, keys: Tensor2D, queue: Tensor2D, temperature: number, count: number): [Tensor, Tensor] {
  const scaled = tf.div(q, temperature);
  const positive = tf.sum(tf.mul(scaled, keys), 1, true); // [n, 1]
  const negatives = tf.matMul(scaled as Tensor2D, queue, false, true); // [n, K]
  const largest = tf.maximum(tf.max(negatives, 1, true), positive);
  const p = tf.exp(tf.sub(positive, largest));
  const e = tf.exp(tf.sub(negatives, largest));
  const sum = tf.add(tf.sum(e, 1, true), p);
  const each = tf.add(tf.log(sum), tf.sub(largest, positive));
  // d each / d q = (sum of probability x key - positive key) / tau
  const expected = tf.div(tf.add(tf.matMul(e as Tensor2D, queue), tf.mul(p, keys)), sum);
  return [each, tf.div(tf.sub(expected, keys), count * temperature)];
}

/** Checks, and puts a loss with a ready gradient on the tape. Keys and queue are closed over, so no gradient reaches them. */
function onTape(lossAndGradient: LossAndGradient): Engine['infoNce'] {
  return (queries, keys, queue, temperature) => {
    check(queries, keys, queue, temperature);
    const loss = tf.customGrad((q, save) => {
      const [value, gradient] = lossAndGradient(q as Tensor2D, keys, queue, temperature);
      (save as (tensors: Tensor[]) => void)([gradient]);
      return { value: value as Scalar, gradFunc: (dy: Scalar, saved: Tensor[]) => tf.mul(at(saved, 0), dy) };
    });
    return loss(queries) as Scalar;
  };
}

function check(queries: Tensor, keys: Tensor, queue: Tensor, temperature: number): void {
  const [count, width] = queries.shape;
  if (queries.rank !== 2 || keys.shape.join() !== queries.shape.join()) {
    throw new Error(`InfoNCE of queries [${queries.shape}] and keys [${keys.shape}]: expected both [N, D]`);
  }
  if (queue.rank !== 2 || queue.shape[1] !== width) {
    throw new Error(`InfoNCE with a queue of shape [${queue.shape}]: expected [K, ${width}] for queries [${count},${width}]`);
  }
  if (!(temperature > 0)) throw new Error(`InfoNCE temperature ${temperature}: expected a number above 0`);
}
