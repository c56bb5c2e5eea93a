/**
 * A recorded step follows what changes from step to step: schedules, permutations, pointers. On a CPU, or on the device of DETCO_DEVICE:
 * `bench/gpu.sh` runs this on a GPU.
 */
import { describe, expect, test } from '@jest/globals';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { methodKind } from '#dist/model/index.js';
import { createOptimizer, type OptimizerOptions } from '#dist/train/optimizer/index.js';
import { OnlineProbe } from '#dist/eval/index.js';
import { createTrainStep } from '#dist/train/step.js';
import { Random } from '#dist/common/random.js';
import { whereAvailable } from '../engine/available.js';
import { narrowOptions, NoiseBatches, SMALL_FORMS, type SmallForm } from '../support/small-method.js';

const N = 8;
/** Of an epoch. */
const IMAGES = 3 * N;
/** The third call is recorded, those after it are replayed. */
const [STEPS, RECORDED] = [7, 3];

const OPTIMIZERS: readonly OptimizerOptions[] = [
  { name: 'sgd', momentum: 0.9, weightDecay: 1e-4 },
  { name: 'lars', momentum: 0.9, weightDecay: 1e-4, trust: 0.01 },
];

const DEVICE = process.env['DETCO_DEVICE'] ?? 'cpu';
const EXACT = DEVICE === 'cpu';

/**
 * Of a first step. A GPU adds in no order, and networks as narrow as these make other losses of that within five steps at a usual rate. Two
 * engines at these rates differ by 0.003 at most of what a parameter moves, and a step whose rate stays what it was when it was recorded by 0.2 or more.
 */
const RATES = EXACT ? { sgd: 0.02, lars: 0.02 } : { sgd: 2e-6, lars: 2e-4 };
const [LOSS_TOLERANCE, TOLERANCE] = [1e-3, 2e-2];

const torch = await whereAvailable('torch');

/** Of a few steps. */
interface Outcome {
  readonly losses: readonly number[];
  /** By how much the tensors of method and optimizer have changed. */
  readonly moved: Readonly<Record<string, readonly number[]>>;
}

torch.describe(`on the engine torch, ${DEVICE}${torch.note}`, () => {
  /** Losses of a few steps in which everything changes, and what they make of all tensors. */
  async function run(
    engine: Engine,
    { method: name, preset, options: ofForm }: SmallForm,
    optimizing: OptimizerOptions,
    makeProbe?: (dimensions: number) => OnlineProbe,
  ): Promise<Outcome> {
    const narrow = { arch: 'resnet18', width: 4, stem: 'small', dim: 8, keyMomentum: 0.5, hidden: 16, queueSize: 16, bnGroups: 2 };
    // What begins with an epoch does so when the step is replayed.
    const later = { prototypes: 12, frozenEpochs: RECORDED + 1, queueEpoch: RECORDED + 2 };
    const options = narrowOptions(name, { ...narrow, ...later, ...ofForm }, IMAGES);
    const method = methodKind(name).create(engine, options, 1);
    const optimizer = createOptimizer(engine, method.parameters, optimizing);
    using probe = makeProbe?.(method.backbone.channels[method.featureStage]);
    const step = createTrainStep({ engine, method, optimizer, ...(probe && { probe }) });
    const tensors = () =>
      Object.entries({ ...method.sections, optimizer: optimizer.state }).flatMap(([section, variables]) =>
        [...variables].map(([key, variable]) => [`${section}.${key}`, variable.dataSync().slice()] as const),
      );
    const starts = new Map(tensors());
    const batches = new NoiseBatches(preset, options, { side: 16, images: IMAGES }, new Random(5));
    const losses: number[] = [];
    for (let at = 0; at < STEPS; at++) {
      const staged = await step.stage(batches.batch(at, N));
      const settings = { step: at, progress: at / STEPS, epoch: at, learningRate: RATES[optimizing.name] * (at + 1) };
      const result = await step.run(staged, settings, [0, 1, 2, undefined, 1, 2, 0, 1]);
      losses.push(result.loss);
      if (probe) expect(result.probe?.loss).toBeLessThan(10);
    }
    const moved = tensors().map(([key, end]) => [key, [...end].map((value, i) => value - (starts.get(key)?.[i] ?? NaN))] as const);
    method.dispose();
    optimizer.dispose();
    return { losses, moved: Object.fromEntries(moved) };
  }

  describe.each(SMALL_FORMS)('$form', (small) => {
    test.each(OPTIMIZERS)('is recorded once with $name, and has the losses and tensors of a step that is not', async (optimizing) => {
      const engine = await selectEngine('torch', { device: DEVICE, threads: 1 });
      try {
        let runs = 0;
        const compile: Engine['compile'] = (step) =>
          engine.compile((inputs) => {
            runs++;
            return step(inputs);
          });
        const recorded = await run({ ...engine, compile }, small, optimizing);
        expect(runs).toBe(RECORDED);
        expect(recorded.losses.every(Number.isFinite)).toBe(true);
        const plain = await run({ ...engine, compile: (step) => step }, small, optimizing);
        expectSame(recorded, plain);
        // A probe does not know of optimizers: once is enough.
        if (optimizing.name !== 'sgd') return;
        const probed = await run(engine, small, optimizing, (dimensions) => new OnlineProbe(engine, dimensions));
        expectSame(probed, plain);
      } finally {
        await engine.dispose();
      }
    });
  });
});

/** To the last bit where sums have an order. */
function expectSame(actual: Outcome, expected: Outcome): void {
  if (EXACT) {
    expect(actual).toEqual(expected);
    return;
  }
  for (const [at, loss] of actual.losses.entries()) expect(Math.abs(loss / (expected.losses[at] ?? NaN) - 1)).toBeLessThan(LOSS_TOLERANCE);
  const far = Object.entries(relativeErrors(actual.moved, expected.moved)).filter(([, error]) => !(error < TOLERANCE));
  expect(far).toEqual([]);
}

/** |a - b| / (|b| + 0.02 of the largest |b| of its kind), L2, by tensor. */
function relativeErrors(actual: Outcome['moved'], expected: Outcome['moved']): Record<string, number> {
  // Running statistics move by far more than parameters.
  const kind = (name: string): string => `${name.split('.')[0]} ${/running/.test(name)}`;
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  const largest: Record<string, number> = {};
  for (const [name, values] of Object.entries(expected)) largest[kind(name)] = Math.max(largest[kind(name)] ?? 0, norm(values));
  return Object.fromEntries(
    Object.entries(expected).map(([name, values]) => {
      const difference = values.map((value, i) => (actual[name]?.[i] ?? NaN) - value);
      return [name, norm(difference) / (norm(values) + 0.02 * (largest[kind(name)] ?? 0))];
    }),
  );
}
