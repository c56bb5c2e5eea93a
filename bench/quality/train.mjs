/** The trainer's own update, so many times, with the cosine over the updates instead of over epochs: sets are seen about once. */
import { methodKind } from '../../dist/model/index.js';
import { createPipeline } from '../../dist/pipeline/index.js';
import { learningRate, trainingRecipe } from '../../dist/train/index.js';
import { createOptimizer } from '../../dist/train/optimizer/index.js';
import { createTrainStep } from '../../dist/train/step.js';

/**
 * @param images of an epoch
 * @returns the method, the caller's to dispose of, and the loss of each update; the last is no finite number where the rate was too high
 */
export async function trainArm(engine, config, { images, updates }) {
  const { batch, seed, shards } = config;
  const method = methodKind(config.method.name).create(engine, config.method, seed);
  const losses = [];
  if (updates === 0) return { method, losses };
  const optimizer = createOptimizer(engine, method.parameters, config.optimizer);
  const { stage, run } = createTrainStep({ engine, method, optimizer });
  const epochs = Math.ceil(updates / Math.floor(images / batch));
  const pipeline = await createPipeline({ shards, recipe: trainingRecipe(config), batchSize: batch, epochs, seed, workers: 1 });
  try {
    for await (const views of pipeline) {
      const step = losses.length;
      const progress = step / updates;
      // A rate of one epoch that is as long as the run.
      const rate = learningRate({ ...config, epochs: 1 }, progress, step);
      const { loss } = await run(stage(views), { step, progress, learningRate: rate });
      losses.push(loss);
      if (losses.length === updates || !Number.isFinite(loss)) break;
    }
  } finally {
    await pipeline[Symbol.asyncDispose]();
    optimizer.dispose();
  }
  return { method, losses };
}
