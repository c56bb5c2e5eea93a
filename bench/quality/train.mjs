/** The trainer's own update, so many times, with the cosine over the updates instead of over epochs: sets are seen about once. */
import { methodKind } from '../../dist/model/index.js';
import { createPipeline } from '../../dist/pipeline/index.js';
import { learningRate, trainingRecipe } from '../../dist/train/index.js';
import { createOptimizer } from '../../dist/train/optimizer/index.js';
import { createTrainStep } from '../../dist/train/step.js';
import { median } from './statistics.mjs';

/** The first updates find their memory, and are recorded. */
const WARM_UP = 4;

/**
 * @param images of an epoch
 * @returns the method, the caller's to dispose of; the loss of each update, of which the last is no finite number where the rate was too high;
 *   and the median of the seconds that an update takes, its images included
 */
export async function trainArm(engine, config, { images, updates }) {
  const { batch, seed, shards, indexDir } = config;
  const kind = methodKind(config.method.name);
  if (updates === 0) return { method: kind.create(engine, config.method, seed), losses: [] };
  const epochs = Math.ceil(updates / Math.floor(images / batch));
  const numbered = kind.forImages !== undefined && { ordinals: true, indexDir };
  const recipe = trainingRecipe(config);
  const pipeline = await createPipeline({ shards, recipe, batchSize: batch, epochs, seed, workers: 1, ...numbered });
  try {
    return await update(engine, config, { kind, pipeline, updates });
  } finally {
    await pipeline[Symbol.asyncDispose]();
  }
}

async function update(engine, config, { kind, pipeline, updates }) {
  const options = kind.forImages?.(config.method, pipeline.samples) ?? config.method;
  const method = kind.create(engine, options, config.seed);
  const optimizer = createOptimizer(engine, method.parameters, config.optimizer);
  const { stage, run } = createTrainStep({ engine, method, optimizer });
  const losses = [];
  const seconds = [];
  let began = performance.now();
  for await (const views of pipeline) {
    const step = losses.length;
    const progress = step / updates;
    // A rate of one epoch that is as long as the run.
    const rate = learningRate({ ...config, epochs: 1 }, progress, step);
    // Of the preset's, whatever the run's length: what begins with an epoch does so at the same share of the run.
    const epoch = Math.floor(progress * config.epochs);
    const { loss } = await run(await stage(views), { step, progress, epoch, learningRate: rate });
    losses.push(loss);
    const ended = performance.now();
    seconds.push((ended - began) / 1000);
    began = ended;
    if (losses.length === updates || !Number.isFinite(loss)) break;
  }
  optimizer.dispose();
  return { method, losses, updateSeconds: median(seconds.length > WARM_UP ? seconds.slice(WARM_UP) : seconds) };
}
