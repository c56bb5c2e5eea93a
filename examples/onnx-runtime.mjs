/**
 * Batches through ONNX Runtime: the features of a backbone that `detco export --format onnx` wrote, and how often the nearest other image is
 * of the same class. It runs on WebAssembly; `onnxruntime-node` has the same functions, for CPUs and GPUs.
 *
 *     node onnx-runtime.mjs BACKBONE.onnx SHARDS...
 */
import { readFile } from 'node:fs/promises';
import { createPipeline, recipes } from 'detco/pipeline';
import { InferenceSession, Tensor } from 'onnxruntime-web';

const [backbone = '', ...shards] = process.argv.slice(2);
const session = await InferenceSession.create(await readFile(backbone));

/**
 * Normalised by the mean and the standard deviation of ImageNet, and from [N, H, W, 3] to [N, 3, H, W].
 *
 * @param {import('detco/pipeline').BatchView<readonly [number, number, number, 3]>} view
 */
function tensorOf({ data, shape: [images, height, width, channels] }) {
  const [mean, std] = [
    [0.485, 0.456, 0.406],
    [0.229, 0.224, 0.225],
  ];
  const pixels = height * width;
  const values = new Float32Array(data.length);
  for (let n = 0, from = 0; n < images; n++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let c = 0; c < channels; c++, from++) values[(n * channels + c) * pixels + pixel] = (data[from] / 255 - mean[c]) / std[c];
    }
  }
  return new Tensor('float32', values, [images, channels, height, width]);
}

/** @type {{ readonly label: number | undefined, readonly feature: Float32Array }[]} each of length 1 */
const bank = [];
const recipe = recipes.evaluation({ globalSize: 64 });
for await (const { samples, views } of await createPipeline({ shards, recipe, batchSize: 32, shuffle: false, dropLast: false })) {
  const { features } = await session.run({ images: tensorOf(views.image) });
  const values = /** @type {Float32Array} */ (features.data);
  const width = features.dims[1] ?? 0;
  for (const [i, { label }] of samples.entries()) {
    const feature = values.slice(i * width, (i + 1) * width);
    const length = Math.hypot(...feature);
    bank.push({ label, feature: feature.map((value) => value / length) });
  }
}

let same = 0;
for (const query of bank) {
  let nearest = { label: /** @type {number | undefined} */ (undefined), similarity: -Infinity };
  for (const { label, feature } of bank) {
    if (feature === query.feature) continue;
    const similarity = feature.reduce((sum, value, i) => sum + value * query.feature[i], 0);
    if (similarity > nearest.similarity) nearest = { label, similarity };
  }
  if (nearest.label === query.label) same++;
}
console.log(`${bank.length} images of ${new Set(bank.map(({ label }) => label)).size} classes, ${bank[0]?.feature.length} features each`);
console.log(`the nearest other image is of the same class for ${((100 * same) / bank.length).toFixed(1)} % of them`);
