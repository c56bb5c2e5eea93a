/** Optimizers over groups of parameters, by numbers that a reader can compute. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, ENGINE_NAMES, selectEngine } from '#dist/engine/index.js';
import { METHOD_NAMES, methodKind, type ParameterGroup } from '#dist/model/index.js';
import { parameterGroups } from '#dist/model/network/parameter-groups.js';
import { createOptimizer, type OptimizerOptions } from '#dist/train/optimizer/index.js';
import { whereAvailable } from '../engine/available.js';
import { variable } from '../engine/tensors.js';
import { narrowOptions } from '../support/small-method.js';

const SGD = { name: 'sgd', momentum: 0.5, weightDecay: 0.25 } as const;
const LARS = { name: 'lars', momentum: 0.5, weightDecay: 0.25, trust: 0.5 } as const;

for (const name of ENGINE_NAMES) {
  const where = await whereAvailable(name);

  where.describe(`on the engine ${name}${where.note}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await selectEngine(name, { device: 'cpu' });
    });
    afterAll(() => engine.dispose());

    /** Two updates at rate 0.5: the weight [3, 4] by the gradient [1, 0], the bias [8] by [2], in groups of these properties. */
    function moved(options: OptimizerOptions, weights: Grouped, biases: Grouped): Record<string, number[]> {
      const before = tf.memory().numTensors;
      const [weight, bias] = [variable({ shape: [1, 2], data: Float64Array.of(3, 4) }), variable({ shape: [1], data: Float64Array.of(8) })];
      const groups = [
        { variables: new Map([['fc.weight', weight]]), ...weights },
        { variables: new Map([['fc.bias', bias]]), ...biases },
      ];
      const optimizer = createOptimizer(engine, groups, options);
      expect([...optimizer.state.keys()]).toEqual(['fc.weight', 'fc.bias']);
      tf.tidy(() => {
        const gradients = { 'fc.bias': tf.tensor1d([2]), 'fc.weight': tf.tensor2d([[1, 0]]) };
        for (let update = 0; update < 2; update++) optimizer.update(gradients, tf.scalar(0.5));
      });
      const result = { weight: [...weight.dataSync()], bias: [...bias.dataSync()] };
      optimizer.dispose();
      tf.dispose([weight, bias]);
      expect(tf.memory().numTensors).toBe(before);
      return result;
    }

    /** v <- 0.5 v + (g + 0.25 p); p <- p - 0.5 v */
    const DECAYED = { weight: [0.921875, 2.8125], bias: [3.25] };
    /** v <- 0.5 v + g: 2, then 3 */
    const UNDECAYED = [5.5];

    test('sgd decays the groups that say so', () => {
      const [all, none] = [
        { decay: true, adapted: true },
        { decay: false, adapted: false },
      ];
      expectClose(moved(SGD, all, { ...none, decay: true }), DECAYED);
      expectClose(moved(SGD, all, none), { ...DECAYED, bias: UNDECAYED });
      expectClose(moved(SGD, { ...all, decay: false }, { ...none, decay: true }), { weight: [1.75, 4], bias: DECAYED.bias });
    });

    test('lars scales the groups that are adapted, and decays those that say so', () => {
      const [kept, free] = [
        { decay: true, adapted: false },
        { decay: false, adapted: false },
      ];
      // Neither scaled nor, for the bias, decayed: as SGD.
      expectClose(moved(LARS, kept, free), { ...DECAYED, bias: UNDECAYED });
      expectClose(moved(LARS, free, kept), { weight: [1.75, 4], bias: DECAYED.bias });
      // |p| = 5, |g| = 1, r = 2.5: v = [2.5, 0], p = [1.75, 4]; then |p| = 4.366, r = 2.183, v = [3.433, 0].
      const second = 0.5 * Math.hypot(1.75, 4);
      expectClose(moved(LARS, { decay: false, adapted: true }, free), { weight: [1.75 - 0.5 * (1.25 + second), 4], bias: UNDECAYED });
      // With decay r scales g + 0.25 p.
      expectClose(moved(LARS, { decay: true, adapted: true }, free), { weight: larsDecayed(), bias: UNDECAYED });
    });
  });
}

/** Two updates of the weight by LARS with decay, in float64. */
function larsDecayed(): number[] {
  let [p, v] = [
    [3, 4],
    [0, 0],
  ];
  for (let update = 0; update < 2; update++) {
    const [x, y] = p as [number, number];
    const g = [1 + 0.25 * x, 0.25 * y] as const;
    const r = (0.5 * Math.hypot(x, y)) / Math.hypot(...g);
    v = v.map((velocity, i) => 0.5 * velocity + r * (g[i] ?? 0));
    p = p.map((parameter, i) => parameter - 0.5 * (v[i] ?? 0));
  }
  return p;
}

type Grouped = Pick<ParameterGroup, 'decay' | 'adapted'>;

function expectClose(actual: Record<string, number[]>, expected: Record<string, number[]>): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, values] of Object.entries(expected)) {
    expect(actual[name]).toHaveLength(values.length);
    values.forEach((x, i) => expect(actual[name]?.[i]).toBeCloseTo(x, 5));
  }
}

/** Whether biases and batch norms decay too, of methods whose authors' code is held to it. */
const DECAYS_ALL: Readonly<Record<string, boolean>> = {
  detco: true,
  moco: true,
  densecl: true,
  simclr: false,
  byol: false,
  swav: true,
  instdis: true,
  rotation: true,
  colorization: true,
  inpainting: true,
  insloc: true,
  'patch-reid': true,
  pirl: false,
  'relative-position': true,
  jigsaw: false,
};

/** Weights that are not to decay. */
const APART: Readonly<Record<string, readonly string[]>> = { swav: ['prototypes.weight'] };

describe('the groups of a method', () => {
  const small = { arch: 'resnet18', width: 4, stem: 'small', dim: 8, hidden: 8, queueSize: 16, bnGroups: 1 };
  let engine: Engine;
  beforeAll(async () => {
    engine = await selectEngine('wasm');
  });
  afterAll(() => engine.dispose());

  test('parameters that are all weights are one group', () => {
    const weight = variable({ shape: [1, 2], data: Float64Array.of(3, 4) });
    const groups = parameterGroups(new Map([['fc.weight', weight]]), 'weights');
    expect(groups).toEqual([{ variables: new Map([['fc.weight', weight]]), decay: true, adapted: true }]);
    weight.dispose();
  });

  test.each(METHOD_NAMES)('%s: weights decay and are adapted; biases and batch norms are not adapted', (name) => {
    const method = methodKind(name).create(engine, narrowOptions(name, small, 1), 1);
    const groups = method.parameters.map(({ decay, adapted }) => ({ decay, adapted }));
    expect(groups).toEqual([
      { decay: true, adapted: true },
      { decay: DECAYS_ALL[name] ?? expect.any(Boolean), adapted: false },
      ...(name in APART ? [{ decay: false, adapted: true }] : []),
    ]);
    expect([...(method.parameters[2]?.variables.keys() ?? [])]).toEqual(APART[name] ?? []);
    const [weights, others] = method.parameters.map(({ variables }) => [...variables.keys()]) as [string[], string[]];
    expect(weights.filter((parameter) => !/(conv\d|fc\d|downsample\.0)\.weight$/.test(parameter))).toEqual([]);
    expect(others.filter((parameter) => !/(bn\d|downsample\.1)\.weight$|\.bias$/.test(parameter))).toEqual([]);
    method.dispose();
  });
});
