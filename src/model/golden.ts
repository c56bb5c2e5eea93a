/**
 * Replays the numbers of an independent PyTorch implementation: from weights and inputs that any language can rebuild,
 * a few training steps, and how far every loss, key, gradient norm and parameter is from what PyTorch got.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D, Tensor5D, Variable } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Engine, Precision } from '../engine/engine.js';
import { ContrastiveMethod } from './detco.js';
import { detParameter, detPermutation, detQueue, detUniform, goldenName } from './deterministic.js';
import { PATCHES } from './heads.js';
import { methodOptions } from './options.js';
import { fromTorchLayout, size, toTorchLayout } from './parameters.js';
import { ARCHITECTURE_NAMES } from './resnet.js';
import { permutation } from './views.js';

const numbers = z.record(z.string(), z.number());

const goldenSchema = z.object({
  config: z.object({
    arch: z.enum(ARCHITECTURE_NAMES),
    batch: z.int().positive(),
    global_size: z.int().positive(),
    patch_size: z.int().positive(),
    groups: z.int().positive(),
    K: z.int().positive(),
    lr: z.number(),
    momentum_key: z.number(),
    temperature: z.number(),
    hidden: z.int().positive().nullable(),
    seed: z.int(),
  }),
  steps: z
    .array(
      z.object({
        loss: z.number(),
        terms: numbers,
        gradNorm: numbers,
        keyProbe: z.record(z.string(), z.array(z.number())),
        paramMoved: numbers,
        keyParamMoved: numbers,
        runningMeanNorm: numbers,
        runningVarNorm: numbers,
      }),
    )
    .min(1),
  evalFeatures: z.record(z.enum(['res2', 'res3', 'res4', 'res5']), z.object({ norm: z.number(), probe: z.array(z.number()) })),
});

export type Golden = z.output<typeof goldenSchema>;

/** About five times what float32 shows against float64. */
export const TOLERANCES = {
  loss: 2e-4,
  terms: 2e-4,
  keyProbe: 5e-3,
  gradNorm: 3e-2,
  paramMoved: 1e-2,
  keyParamMoved: 2e-2,
  runningMeanNorm: 1e-3,
  runningVarNorm: 1e-3,
  evalFeatures: 5e-3,
} as const;

export type GoldenGroup = keyof typeof TOLERANCES;

/**
 * For convolutions and products that round their inputs to 8 bits (bf16; tf32 keeps 11). Losses are held to 2e-2, the rest to what tells a
 * wrong kernel from rounding. Single values of an embedding, many of them near 0, are not held to anything.
 */
export const TOLERANCES_BF16: Readonly<Record<GoldenGroup, number>> = {
  loss: 2e-2,
  terms: 2e-2,
  keyProbe: Number.POSITIVE_INFINITY,
  gradNorm: 3e-1,
  paramMoved: 3e-1,
  keyParamMoved: 3e-1,
  runningMeanNorm: 1e-2,
  runningVarNorm: 1e-2,
  evalFeatures: 1e-1,
};

/** What a replay in this precision is held to. */
export function tolerancesOf(precision: Precision): Readonly<Record<GoldenGroup, number>> {
  return precision === 'fp32' ? TOLERANCES : TOLERANCES_BF16;
}

/** The largest error of each group over all steps. */
export type GoldenErrors = Record<GoldenGroup, number>;

/** Checks a golden file's text; throws a TypeError that says what is not as expected. */
export function parseGolden(text: string): Golden {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Not a golden file: ${(error as Error).message}`, { cause: error });
  }
  const parsed = goldenSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TypeError(`Not a golden file: at "${issue?.path.join('.')}": ${issue?.message}`);
}

/** Trains as the golden file says and compares. `onStep` hears of each step as it is done. */
export function replayGolden(engine: Engine, golden: Golden, onStep?: (step: number, loss: number) => void): GoldenErrors {
  const { config } = golden;
  const method = startingMethod(engine, config);
  const names = [...method.parameters.keys()];
  const parameters = [...method.parameters.values()];
  const velocities = parameters.map((parameter) => tf.tidy(() => tf.variable(tf.zerosLike(parameter), false)));
  const sgd = { learningRate: tf.scalar(config.lr), momentum: 0.9, weightDecay: 1e-4 };
  const errors = Object.fromEntries(Object.keys(TOLERANCES).map((group) => [group, 0])) as GoldenErrors;
  const compare = (group: GoldenGroup, actual: Values, expected: Values): void => {
    errors[group] = Math.max(errors[group], largestError(actual, expected));
  };

  for (const [step, expected] of golden.steps.entries()) {
    const { permutations, ...views } = inputs(step, config);
    const result = method.step(views, permutations);
    const loss = values(result.loss)[0] ?? Number.NaN;
    compare('loss', { loss }, { loss: expected.loss });
    compare(
      'terms',
      mapValues(result.terms, (term) => [...values(term)]),
      expected.terms,
    );
    compare(
      'gradNorm',
      Object.fromEntries(names.map((name, i) => [goldenName(name), norm(values(result.gradients[i] as Tensor))])),
      expected.gradNorm,
    );
    compare(
      'keyProbe',
      mapValues(result.keys, (key) => probe(key, 4)),
      expected.keyProbe,
    );
    engine.sgd(parameters, result.gradients, velocities, sgd);
    const pointer = tf.scalar(method.queuePointer, 'int32');
    method.enqueue(result.keys, pointer);
    method.advance(config.batch);
    tf.dispose([result, views, permutations, pointer] as tf.TensorContainer[]);

    const tensors = method.tensors();
    const buffers = (list: Values): Values =>
      Object.fromEntries(Object.keys(list).map((name) => [name, norm(values(found(tensors, `query.${name}`)))]));
    compare('paramMoved', moved(tensors, 'query', names), expected.paramMoved);
    compare('keyParamMoved', moved(tensors, 'key', names), expected.keyParamMoved);
    compare('runningMeanNorm', buffers(expected.runningMeanNorm), expected.runningMeanNorm);
    compare('runningVarNorm', buffers(expected.runningVarNorm), expected.runningVarNorm);
    onStep?.(step, loss);
  }

  const { permutations, ...views } = inputs(0, config);
  const features = method.features(views.globalQ);
  compare(
    'evalFeatures',
    mapValues(features, (f) => [norm(values(f)), ...probe(f, 8)]),
    mapValues(golden.evalFeatures, (f) => [f.norm, ...f.probe]),
  );
  tf.dispose([features, views, permutations, velocities, sgd.learningRate] as tf.TensorContainer[]);
  method.dispose();
  return errors;
}

const EMPTY = new Float32Array(0);

/** The method as the golden file starts it: both encoders and the queues rebuilt from their names. */
function startingMethod(engine: Engine, config: Golden['config']): ContrastiveMethod {
  const options = methodOptions({
    arch: config.arch,
    hidden: config.hidden ?? undefined,
    queueSize: config.K,
    temperature: config.temperature,
    keyMomentum: config.momentum_key,
    bnGroups: config.groups,
  });
  const method = ContrastiveMethod.create(engine, options, 0);
  const tensors = method.tensors();
  const assign = (name: string, start: Float32Array): void => {
    const variable = found(tensors, name);
    tf.tidy(() => variable.assign(tf.tensor(start, variable.shape, 'float32')));
  };
  for (const [name, { shape }] of method.parameters) {
    const torchShape = toTorchLayout({ values: EMPTY, shape }).shape;
    const start = fromTorchLayout({ values: detParameter(goldenName(name), torchShape), shape: torchShape }).values;
    assign(`query.${name}`, start);
    assign(`key.${name}`, start);
  }
  for (const name of tensors.keys()) {
    if (name.startsWith('queue.')) assign(name, detQueue(name.slice('queue.'.length), config.K, options.dim));
  }
  return method;
}

/** Normalised-image-like views in [-2, 2) and the permutations of one step. */
function inputs(step: number, { batch, global_size: g, patch_size: p, seed }: Golden['config']) {
  const view = (tag: string, shape: number[]): Tensor => {
    // float32 arithmetic, as the reference does it
    const pixels = detUniform(`input.${tag}.${step}.${seed}`, new Float32Array(size(shape)), (u) => Math.fround(u) * 4 - 2);
    return tf.tensor(pixels, shape, 'float32');
  };
  return {
    globalQ: view('iq', [batch, g, g, 3]) as Tensor4D,
    globalK: view('ik', [batch, g, g, 3]) as Tensor4D,
    patchesQ: view('pq', [batch, PATCHES, p, p, 3]) as Tensor5D,
    patchesK: view('pk', [batch, PATCHES, p, p, 3]) as Tensor5D,
    permutations: {
      global: permutation(detPermutation(`perm.global.${step}.${seed}`, batch)),
      local: permutation(detPermutation(`perm.local.${step}.${seed}`, batch)),
    },
  };
}

/** How far each parameter is from its start, L2, by golden name. */
function moved(tensors: ReadonlyMap<string, Variable>, encoder: string, names: Iterable<string>): Record<string, number> {
  const distances: Record<string, number> = {};
  for (const name of names) {
    const variable = found(tensors, `${encoder}.${name}`);
    const end = toTorchLayout({ values: values(variable), shape: variable.shape });
    const start = detParameter(goldenName(name), end.shape);
    distances[goldenName(name)] = norm(end.values, start);
  }
  return distances;
}

type Values = Readonly<Record<string, number | readonly number[]>>;

/** max |a - b| / (|b| + 0.02 largest |b|), over everything expected; infinite where a value is missing or not a number. */
function largestError(actual: Values, expected: Values): number {
  const largest = Math.max(...Object.values(expected).flat().map(Math.abs));
  let worst = 0;
  for (const [name, wanted] of Object.entries(expected)) {
    const got = [actual[name] ?? []].flat();
    for (const [i, b] of [wanted].flat().entries()) {
      const difference = Math.abs((got[i] ?? Number.NaN) - b);
      const error = difference === 0 ? 0 : difference / (Math.abs(b) + 0.02 * largest);
      worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
    }
  }
  return worst;
}

/** L2 norm of a - b in float64. */
function norm(a: Float32Array, b?: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b?.[i] ?? 0)) ** 2;
  return Math.sqrt(sum);
}

/** The first `columns` values of the first two rows. */
function probe(rows: Tensor, columns: number): number[] {
  const all = values(rows);
  const width = rows.shape[1] ?? 1;
  return [...all.slice(0, columns), ...all.slice(width, width + columns)];
}

function values(tensor: Tensor): Float32Array {
  return tensor.dataSync<'float32'>();
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}

function found(tensors: ReadonlyMap<string, Variable>, name: string): Variable {
  const variable = tensors.get(name);
  if (!variable) throw new RangeError(`The method has no tensor "${name}"`);
  return variable;
}
