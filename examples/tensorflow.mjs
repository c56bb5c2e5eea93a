/**
 * Batches as tensors of TensorFlow.js, on the best engine of this machine: a small network learns which two views are of one image.
 *
 *     node tensorflow.mjs SHARDS...
 */
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from 'detco/engine';
import { createPipeline, recipes } from 'detco/pipeline';

const shards = process.argv.slice(2);
const [BATCH, WIDTH, EMBEDDING, TEMPERATURE] = [16, 16, 32, 0.2];

// It registers the kernels and the gradients that TensorFlow.js lacks in Node; every `tf` function runs on this engine from then on.
const engine = await selectEngine('auto');
console.log(engine.description);

const first = tf.variable(tf.randomNormal([3, 3, 3, WIDTH], 0, 0.2, 'float32', 1));
const second = tf.variable(tf.randomNormal([3, 3, WIDTH, 2 * WIDTH], 0, 0.1, 'float32', 2));
const head = tf.variable(tf.randomNormal([2 * WIDTH, EMBEDDING], 0, 0.2, 'float32', 3));

/**
 * uint8 [N, 32, 32, 3] over shared memory to float32, normalised. The bytes are read before `upload` returns.
 *
 * @param {import('detco/pipeline').BatchView} view
 */
const upload = ({ data, shape }) => /** @type {tf.Tensor4D} */ (engine.upload(data, shape));

/** @param {tf.Tensor4D} x [N, 32, 32, 3] @returns {tf.Tensor2D} [N, EMBEDDING], of length 1 */
function embed(x) {
  const hidden = tf.relu(tf.conv2d(x, /** @type {tf.Tensor4D} */ (first), 2, 'same'));
  const features = tf.mean(tf.relu(tf.conv2d(hidden, /** @type {tf.Tensor4D} */ (second), 2, 'same')), [1, 2]);
  const z = tf.matMul(/** @type {tf.Tensor2D} */ (features), /** @type {tf.Tensor2D} */ (head));
  return tf.div(z, tf.norm(z, 2, 1, true));
}

const own = tf.oneHot(tf.range(0, BATCH, 1, 'int32'), BATCH);
const optimizer = tf.train.adam(0.01);
// The view of a linear classifier, a crop and a flip, drawn twice.
const { image } = recipes.linear({ globalSize: 32 }).views;
const recipe = { name: 'two-crops', views: { view1: image, view2: image } };
const pipeline = await createPipeline({ shards, recipe, batchSize: BATCH, epochs: 4, seed: 1 });
for await (const { step, views } of pipeline) {
  const x1 = upload(views.view1);
  const x2 = upload(views.view2);
  // InfoNCE: of all images of the batch, which is this view's? By chance the loss is ln 16 = 2.77.
  const similarities = () => tf.matMul(embed(x1), embed(x2), false, true);
  const infoNce = () => /** @type {tf.Scalar} */ (tf.losses.softmaxCrossEntropy(own, tf.div(similarities(), TEMPERATURE)));
  const loss = /** @type {tf.Scalar} */ (optimizer.minimize(infoNce, true, [first, second, head]));
  if (step % 10 === 0) console.log(`step ${step}: loss ${(await loss.data())[0].toFixed(2)}`);
  tf.dispose([x1, x2, loss]);
}
await engine.dispose();
