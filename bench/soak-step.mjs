/**
 * Does training leak? 2,000 updates of the preset `tiny` on an engine, over the shards of fixtures/: the process's resident set by fifths,
 * and the tensors that TensorFlow.js and the engine hold.
 *
 *     npm run bench:soak-step -- [--engine torch|tensorflow|wasm] [--steps 2000] [--json]
 *
 * Fails when the median of the last fifth is 5 % above that of the second, or the number of tensors changes after the first fifth. The
 * peaks are shown too: they depend on when garbage was collected last.
 */
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '../dist/engine/index.js';
import { METHOD_PRESETS, methodKind, methodOptions } from '../dist/model/index.js';
import { createPipeline, recipes } from '../dist/pipeline/index.js';
import { Staging } from '../dist/train/staging.js';
import { createTrainStep } from '../dist/train/step.js';
import { sgd } from '../dist/train/optimizer/sgd.js';
import { wholeNumber } from './pipeline/shards.mjs';

const { values } = parseArgs({
  options: {
    engine: { type: 'string', default: 'torch' },
    steps: { type: 'string', default: '2000' },
    json: { type: 'boolean', default: false },
  },
});
const steps = wholeNumber('steps', values.steps);
const FIFTH = Math.max(1, Math.floor(steps / 5));
const { batch, recipe, method: options } = METHOD_PRESETS.tiny;

const engine = await selectEngine(values.engine).catch((error) => {
  console.error(`bench:soak-step: ${error.message}`);
  process.exit(2);
});
const method = methodKind(options.name).create(engine, methodOptions(options), 0);
const optimizer = sgd(engine, method.parameters, { momentum: 0.9, weightDecay: 1e-4 });
const update = createTrainStep({ engine, method, optimizer });
const pipeline = await createPipeline({
  shards: 'fixtures/shards/train-{000..003}.tar',
  recipe: recipes.detco(recipe),
  batchSize: batch,
  seed: 0,
  epochs: Math.ceil(steps / 30),
});

const fifths = [];
const staging = new Staging(pipeline, (next) => update.stage(next));
let sizes = [];
for (let step = 0; step < steps; step++) {
  const staged = await staging.next();
  const running = update.run(staged.views, { step, progress: 0, learningRate: 0.03 });
  staging.prefetch();
  await running;
  sizes.push(process.memoryUsage.rss() / 2 ** 20);
  if ((step + 1) % FIFTH !== 0) continue;
  // With the next batch there, so that its views are counted each time.
  await staging.ready();
  const { numTensors } = tf.memory();
  sizes.sort((a, b) => a - b);
  const [medianRssMB, peakRssMB] = [sizes[sizes.length >> 1], sizes.at(-1)].map(Math.round);
  fifths.push({ steps: step + 1, medianRssMB, peakRssMB, numTensors });
  console.error(`${String(step + 1).padStart(6)} steps  ${medianRssMB} MB, peak ${peakRssMB} MB  ${numTensors} tensors`);
  sizes = [];
}
await staging.close();
await pipeline[Symbol.asyncDispose]();

const growth = fifths.at(-1).medianRssMB / fifths[Math.min(1, fifths.length - 1)].medianRssMB;
const tensors = new Set(fifths.map(({ numTensors }) => numTensors));
const flat = growth <= 1.05 && tensors.size === 1;
console.error(`${flat ? 'flat' : 'NOT FLAT'}: last fifth over second ${growth.toFixed(3)}, numTensors ${[...tensors].join(', ')}`);
if (values.json) console.log(JSON.stringify({ engine: engine.description, steps, flat, growth, fifths }));
await engine.dispose();
process.exitCode = flat ? 0 : 1;
