/** A recorded step follows what changes from step to step: schedules, permutations, pointers. */
import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { METHOD_NAMES, methodKind, methodOptions, type MethodInput } from '#dist/model/index.js';
import type { Batch } from '#dist/pipeline/index.js';
import { createOptimizer, type OptimizerOptions } from '#dist/train/optimizer/index.js';
import { OnlineProbe } from '#dist/eval/index.js';
import { createTrainStep } from '#dist/train/step.js';
import { Random } from '#dist/common/random.js';
import { whereAvailable } from '../engine/available.js';

const N = 8;
/** The third call is recorded, those after it are replayed. */
const [STEPS, RECORDED] = [7, 3];

const OPTIMIZERS: readonly OptimizerOptions[] = [
  { name: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
  { name: 'lars', momentum: 0.9, weightDecay: 1e-4, trust: 0.01 },
];

const torch = await whereAvailable('torch');

torch.describe(`on the engine torch${torch.note}`, () => {
  /** Losses of a few steps in which everything changes, and the tensors that come of them. */
  async function run(
    engine: Engine,
    name: string,
    optimizing: OptimizerOptions,
    makeProbe?: (dimensions: number) => OnlineProbe,
  ): Promise<{ losses: number[]; tensors: object }> {
    const options = { name, arch: 'resnet18', width: 4, stem: 'small', dim: 8, keyMomentum: 0.5, hidden: 16, queueSize: 16, bnGroups: 2 };
    const known = Object.fromEntries(Object.entries(options).filter(([key]) => key in methodKind(name).schema.shape));
    const method = methodKind(name).create(engine, methodOptions(known as MethodInput), 1);
    const optimizer = createOptimizer(engine, method.parameters, optimizing);
    using probe = makeProbe?.(method.backbone.channels[method.featureStage]);
    const step = createTrainStep({ engine, method, optimizer, ...(probe && { probe }) });
    const random = new Random(5);
    const losses: number[] = [];
    for (let at = 0; at < STEPS; at++) {
      const views = Object.fromEntries(method.views.map((view) => [view, noise(random, view.startsWith('patches'))]));
      const staged = step.stage({ views, release: () => {} } as unknown as Batch);
      const result = await step.run(staged, { step: at, progress: at / STEPS, learningRate: 0.02 * (at + 1) }, [
        0,
        1,
        2,
        undefined,
        1,
        2,
        0,
        1,
      ]);
      losses.push(result.loss);
      if (probe) expect(result.probe?.loss).toBeLessThan(10);
    }
    const tensors = Object.entries({ ...method.sections, optimizer: optimizer.state }).flatMap(([section, variables]) =>
      [...variables].map(([key, variable]) => [`${section}.${key}`, [...variable.dataSync()]] as const),
    );
    method.dispose();
    optimizer.dispose();
    return { losses, tensors: Object.fromEntries(tensors) };
  }

  describe.each(METHOD_NAMES)('%s', (name) => {
    test.each(OPTIMIZERS)('is recorded once with $name, and has the losses and tensors of a step that is not', async (optimizing) => {
      const engine = await selectEngine('torch', { device: 'cpu', threads: 1 });
      try {
        let runs = 0;
        const compile: Engine['compile'] = (step) =>
          engine.compile((inputs) => {
            runs++;
            return step(inputs);
          });
        const recorded = await run({ ...engine, compile }, name, optimizing);
        expect(runs).toBe(RECORDED);
        expect(recorded.losses.every(Number.isFinite)).toBe(true);
        const plain = await run({ ...engine, compile: (step) => step }, name, optimizing);
        expect(recorded).toEqual(plain);
        const probed = await run(engine, name, optimizing, (dimensions) => new OnlineProbe(engine, dimensions));
        expect(probed).toEqual(plain);
      } finally {
        await engine.dispose();
      }
    });
  });
});

/** uint8 images or patches of a view. */
function noise(random: Random, patches: boolean): Batch['views'][string] {
  const shape = patches ? [N, 9, 12, 12, 3] : [N, 16, 16, 3];
  const data = Uint8Array.from({ length: tf.util.sizeFromShape(shape) }, () => Math.floor(256 * random.uniform()));
  return { data, shape } as Batch['views'][string];
}
