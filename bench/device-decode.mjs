/**
 * Views that a GPU makes from compressed images: how far their pixels are from the workers', images a second on the device alone, and what an
 * image costs the processor. Needs a build, engine torch, nvJPEG, and a GPU that decodes JPEGs.
 *
 *     node bench/device-decode.mjs --shards 'photos/train-{000..031}.tar' [--device cuda] [--precision bf16] [--batch 256] [--rounds 20] [--seconds 10]
 *       [--workers 4] [--json]
 */
import { cpus } from 'node:os';
import { selectEngine } from '../dist/engine/index.js';
import { createPipeline, decodeCompressed, recipes } from '../dist/pipeline/index.js';
import { decodeOnDevice } from '../dist/train/device-decode.js';
import { augmentOnDevice } from '../dist/train/index.js';
import { readOptions, wholeNumber } from './arguments.mjs';

const values = readOptions({
  shards: { type: 'string' },
  device: { type: 'string', default: 'cuda' },
  precision: { type: 'string', default: 'bf16' },
  batch: { type: 'string', default: '256' },
  rounds: { type: 'string', default: '20' },
  seconds: { type: 'string', default: '10' },
  workers: { type: 'string', default: '4' },
  json: { type: 'boolean', default: false },
});
const [batchSize, rounds, seconds, workers] = ['batch', 'rounds', 'seconds', 'workers'].map((name) => wholeNumber(name, values[name]));
const engine = await selectEngine('torch', { device: values.device, precision: values.precision });
const decoder = engine.openJpegDecoder();
const options = { shards: values.shards, recipe: recipes.detco(), batchSize, workers, epochs: 1000, augment: 'device', decode: 'device' };

/** Distances of a view's levels from those that the workers make. */
function distance(levels, expected) {
  const got = levels.dataSync();
  let [sum, most] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    const levelsOff = Math.abs(got[i] - expected[i]);
    sum += levelsOff;
    most = Math.max(most, levelsOff);
  }
  return { mean: sum / got.length, most };
}

/** Frees the views of a batch once the last of them is there. */
async function finish(batch) {
  const decoded = await decodeOnDevice(batch, decoder, engine);
  const views = Object.values(decoded.batch.views).map((view) => {
    const levels = decoded.levels(view);
    const done = augmentOnDevice(levels, view.pending, engine);
    levels.dispose();
    return done;
  });
  decoded.dispose();
  // A device works in order.
  const last = views.at(-1);
  last.slice(last.shape.map((size) => size - 1)).dataSync();
  for (const view of views) view.dispose();
}

let compared;
let device;
for await (const batch of await createPipeline(options)) {
  const decoded = await decodeOnDevice(batch, decoder, engine);
  const onDevice = Object.entries(decoded.batch.views).map(([name, view]) => [name, decoded.levels(view)]);
  decoded.dispose();
  await finish(batch);
  const started = performance.now();
  for (let round = 0; round < rounds; round++) await finish(batch);
  device = (1000 * rounds * batchSize) / (performance.now() - started);
  // After the timing: it writes to the batch's views.
  const whole = await decodeCompressed(batch);
  const compressed = batch.compressed.filter((image) => image !== undefined).length;
  compared = { compressed, views: Object.fromEntries(onDevice.map(([name, levels]) => [name, distance(levels, whole.views[name].data)])) };
  break;
}

let images = 0;
let [before, began] = [process.cpuUsage(), performance.now()];
for await (const batch of await createPipeline(options)) {
  await finish(batch);
  // The first batches start the workers.
  if (images === 0) [before, began] = [process.cpuUsage(), performance.now()];
  images += batch.size;
  if (performance.now() - began > 1000 * seconds) break;
}
const elapsed = performance.now() - began;
const { user, system } = process.cpuUsage(before);
const result = {
  engine: engine.description,
  cpu: `${cpus()[0]?.model}, ${cpus().length} cores`,
  batch: batchSize,
  workers,
  ...compared,
  deviceImagesPerSecond: device,
  pipelineImagesPerSecond: (1000 * (images - batchSize)) / elapsed,
  cpuMsPerImage: (user + system) / 1000 / (images - batchSize),
};
await engine.dispose();
console.log(values.json ? JSON.stringify(result) : result);
