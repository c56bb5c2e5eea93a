/**
 * Views that a device finishes: images a second of what `--augment device` leaves to it, of the DetCo recipe at full size, from levels in the
 * host's memory to normalised views on the device. Needs a build.
 *
 *     node bench/views.mjs [--engine torch] [--device cuda] [--precision bf16] [--batch 256] [--draws 4] [--rounds 10] [--threads CORES] [--json]
 *
 * Every round takes other draws, of --draws batches. The pixels are noise: what an operation costs does not depend on them.
 */
import { cpus } from 'node:os';
import { defer, deferredRecipe } from '../dist/pipeline/augment/defer.js';
import { drawSample } from '../dist/pipeline/augment/parameters.js';
import { recipes, viewBytes, viewShape } from '../dist/pipeline/index.js';
import { Random } from '../dist/common/random.js';
import { selectEngine } from '../dist/engine/index.js';
import { augmentOnDevice } from '../dist/train/index.js';
import { readOptions, wholeNumber } from './arguments.mjs';

/** Of the images that the crops are drawn for: they decide how large a crop is, not what it costs here. */
const PHOTOGRAPH = { width: 500, height: 375 };

const values = readOptions({
  engine: { type: 'string', default: 'torch' },
  device: { type: 'string', default: 'auto' },
  precision: { type: 'string', default: 'fp32' },
  batch: { type: 'string', default: '256' },
  draws: { type: 'string', default: '4' },
  rounds: { type: 'string', default: '10' },
  threads: { type: 'string' },
  json: { type: 'boolean', default: false },
});
const [batch, draws, rounds] = ['batch', 'draws', 'rounds'].map((name) => wholeNumber(name, values[name]));
const { engine: name, device, precision } = values;
const engine = await selectEngine(name, {
  device,
  precision,
  ...(values.threads !== undefined && { threads: wholeNumber('threads', values.threads) }),
});

const recipe = recipes.detco();
const written = deferredRecipe(recipe);
const random = new Random(1);
const views = Object.entries(recipe.views).map(([view, kind], stream) => ({
  shape: [batch, ...viewShape(written.views[view])],
  levels: Uint8Array.from({ length: batch * viewBytes(written.views[view]) }, () => random.below(256)),
  draws: Array.from({ length: draws }, (_, epoch) =>
    Array.from(
      { length: batch },
      (_sample, index) => defer(drawSample(kind, stream, PHOTOGRAPH, { seed: 1, epoch, shard: 0, index })[0]).pending,
    ),
  ),
}));

/** Milliseconds until the views of so many batches are on the device, finished or as they were uploaded. */
function timed(count, finish) {
  const start = performance.now();
  for (let round = 0; round < count; round++)
    for (const { shape, levels, draws: of } of views) {
      const uploaded = engine.upload(levels, shape, 'levels');
      const done = finish ? augmentOnDevice(uploaded, of[round % draws], engine) : uploaded;
      // A device works in order: the last picture is there when all are.
      if (round === count - 1) done.slice(done.shape.map((size) => size - 1)).dataSync();
      if (finish) done.dispose();
      uploaded.dispose();
    }
  return performance.now() - start;
}

timed(Math.min(draws, rounds), true);
const [all, upload] = [timed(rounds, true), timed(rounds, false)];
const perSecond = (ms) => (1000 * batch * rounds) / ms;
const result = {
  engine: engine.description,
  cpu: `${cpus()[0]?.model}, ${cpus().length} cores`,
  batch,
  precision,
  imagesPerSecond: perSecond(all),
  uploadImagesPerSecond: perSecond(upload),
  finishMsPerBatch: (all - upload) / rounds,
};
engine.dispose();
console.log(
  values.json
    ? JSON.stringify(result)
    : `${result.engine}; ${result.cpu}\nbatch ${batch}: ${result.imagesPerSecond.toFixed(0)} images/s, their upload alone ${result.uploadImagesPerSecond.toFixed(0)} images/s, the rest ${result.finishMsPerBatch.toFixed(1)} ms a batch`,
);
