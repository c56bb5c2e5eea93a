/**
 * Does training leak, and is a step recorded once? 2,000 updates of a preset on an engine, over the shards of fixtures/: the process's
 * resident set by fifths, the tensors that TensorFlow.js and the engine hold, and how often the step's JavaScript ran.
 *
 *     npm run bench:soak-step -- [--preset tiny] [--optimizer sgd|lars] [--engine torch|tensorflow|wasm]
 *         [--device auto|cpu|cuda] [--steps 2000] [--json]
 *
 * All methods, a process each:
 *
 *     for p in tiny tiny-moco tiny-simclr tiny-byol tiny-densecl; do npm run bench:soak-step -- --preset $p; done
 *
 * Fails when the median of the last fifth is 5 % above that of the second, the number of tensors changes after the first fifth, or
 * on torch the step's JavaScript did not run three times: twice to warm up, once to be recorded, on a GPU as a CUDA graph. The peaks are shown
 * too: they depend on when garbage was collected last. Fifths of fewer than 100 updates say nothing of the resident set, which is not judged then.
 */
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '../dist/engine/index.js';
import { methodKind } from '../dist/model/index.js';
import { createPipeline } from '../dist/pipeline/index.js';
import { resolveConfig } from '../dist/train/config.js';
import { createOptimizer } from '../dist/train/optimizer/index.js';
import { learningRate } from '../dist/train/schedule.js';
import { Staging } from '../dist/train/staging.js';
import { createTrainStep } from '../dist/train/step.js';
import { trainingRecipe } from '../dist/train/training-recipe.js';
import { readOptions, wholeNumber } from './arguments.mjs';

const values = readOptions({
  preset: { type: 'string', default: 'tiny' },
  engine: { type: 'string', default: 'torch' },
  optimizer: { type: 'string' },
  device: { type: 'string', default: 'auto' },
  steps: { type: 'string', default: '2000' },
  json: { type: 'boolean', default: false },
});
const steps = wholeNumber('steps', values.steps);
const FIFTH = Math.max(1, Math.floor(steps / 5));
/** Updates of a fifth in which the resident set has settled. */
const LONG = 100;
const unusable = (error) => {
  console.error(`bench:soak-step: ${error.message}`);
  process.exit(2);
};

const config = await Promise.resolve({
  preset: values.preset,
  shards: ['fixtures/shards/train-{000..003}.tar'],
  ...(values.optimizer && { optimizer: { name: values.optimizer } }),
})
  .then(resolveConfig)
  .catch(unusable);
const engine = await selectEngine(values.engine, { device: values.device }).catch(unusable);
let runsOfStep = 0;
const counted = (step) => (inputs) => {
  runsOfStep++;
  return step(inputs);
};
const method = methodKind(config.method.name).create(engine, config.method, 0);
const optimizer = createOptimizer(engine, method.parameters, config.optimizer);
const update = createTrainStep({ engine: { ...engine, compile: (step) => engine.compile(counted(step)) }, method, optimizer });
const pipeline = await createPipeline({
  shards: config.shards,
  recipe: trainingRecipe(config),
  batchSize: config.batch,
  seed: 0,
  // More than there are updates.
  epochs: steps,
});

const fifths = [];
const staging = new Staging(pipeline, (next) => update.stage(next));
let sizes = [];
for (let step = 0; step < steps; step++) {
  const staged = await staging.next();
  // The preset's schedule over these updates.
  const progress = step / steps;
  const epoch = progress * config.epochs;
  const running = update.run(staged.views, { step, progress, epoch, learningRate: learningRate(config, epoch, step) });
  staging.prefetch();
  const { loss } = await running;
  sizes.push(process.memoryUsage.rss() / 2 ** 20);
  if ((step + 1) % FIFTH !== 0) continue;
  // With the next batch there, so that its views are counted each time.
  await staging.ready();
  const { numTensors } = tf.memory();
  sizes.sort((a, b) => a - b);
  const [medianRssMB, peakRssMB] = [sizes[sizes.length >> 1], sizes.at(-1)].map(Math.round);
  fifths.push({ steps: step + 1, medianRssMB, peakRssMB, numTensors, runsOfStep, loss });
  const words = [
    `${medianRssMB} MB, peak ${peakRssMB} MB`,
    `${numTensors} tensors`,
    `step ran ${runsOfStep} times`,
    `loss ${loss.toFixed(3)}`,
  ];
  console.error(`${String(step + 1).padStart(6)} steps  ${words.join('  ')}`);
  sizes = [];
}
await staging.close();
await pipeline[Symbol.asyncDispose]();

const growth = fifths.at(-1).medianRssMB / fifths[Math.min(1, fifths.length - 1)].medianRssMB;
const tensors = new Set(fifths.map(({ numTensors }) => numTensors));
const flat = (growth <= 1.05 || FIFTH < LONG) && tensors.size === 1;
// The torch engine records the third; the others run each.
const recordedOnce = runsOfStep === (engine.name === 'torch' ? Math.min(steps, 3) : steps);
console.error(`${flat ? 'flat' : 'NOT FLAT'}: last fifth over second ${growth.toFixed(3)}, numTensors ${[...tensors].join(', ')}`);
console.error(`${recordedOnce ? '' : 'NOT RECORDED ONCE: '}the step's JavaScript ran ${runsOfStep} times`);
if (values.json) {
  const { preset } = values;
  const { description, device } = engine;
  const about = { engine: description, device, preset, method: config.method.name, optimizer: config.optimizer.name };
  console.log(JSON.stringify({ ...about, steps, runsOfStep, flat, recordedOnce, growth, fifths }));
}
await engine.dispose();
process.exitCode = flat && recordedOnce ? 0 : 1;
