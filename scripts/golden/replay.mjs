/**
 * Replays the numbers of an independent PyTorch implementation: from weights and inputs that any language can rebuild,
 * a few training steps, and how far every loss, gradient norm and parameter is from what PyTorch got.
 */
import * as tf from '@tensorflow/tfjs-core';
import { fromTorchLayout, methodKind, methodOptions, toTorchLayout } from '../../dist/model/index.js';
import { permutation } from '../../dist/model/network/shuffle-bn.js';
import { createOptimizer } from '../../dist/train/optimizer/index.js';
import { detLevels, detOrdinals, detParameter, detPermutation, detQueue, detView, goldenName } from './numbers.mjs';

/** About five times what float32 shows against float64. */
const TOLERANCES = {
  loss: 2e-4,
  terms: 2e-4,
  keyProbe: 5e-3,
  gradNorm: 3e-2,
  paramMoved: 1e-2,
  keyParamMoved: 2e-2,
  runningMeanNorm: 1e-3,
  runningVarNorm: 1e-3,
  evalFeatures: 5e-3,
};

/**
 * For convolutions and products that round their inputs to 8 bits (bf16; tf32 keeps 11). Losses are held to 2e-2, the rest to what tells a
 * wrong kernel from rounding. Single values of an embedding, many of them near 0, are not held to anything.
 */
const TOLERANCES_BF16 = {
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
export function tolerancesOf(precision) {
  return precision === 'fp32' ? TOLERANCES : TOLERANCES_BF16;
}

/**
 * Trains as the golden file says and compares. `onStep` hears of each step as it is done.
 *
 * @returns the largest error of each group over all steps, of the groups that the file has
 */
export function replayGolden(engine, golden, onStep) {
  const { batch, seed, totalSteps, stepsPerEpoch = totalSteps, optimizer: settings } = golden;
  const method = startingMethod(engine, golden);
  const optimizer = createOptimizer(engine, method.parameters, settings);
  const rate = tf.scalar(settings.lr);
  const errors = {};
  const compare = (group, actual, expected) => {
    if (Object.keys(expected).length > 0) errors[group] = Math.max(errors[group] ?? 0, largestError(actual, expected));
  };

  for (const [step, expected] of golden.steps.entries()) {
    const views = viewsOf(golden, step, method.levels, engine.ranks);
    const epoch = Math.floor(step / stepsPerEpoch);
    const at = { step, progress: step / totalSteps, epoch, batch, ...samplesOf(golden, step, engine.ranks) };
    const inputs = inputsOf(method, at, { seed, ranks: engine.ranks });
    const result = meanOver(engine.ranks, method.step(views, inputs));
    const [loss] = values(result.loss);
    compare('loss', { loss }, { loss: expected.loss });
    compare('terms', mapValues(result.terms, values), expected.terms);
    compare(
      'gradNorm',
      Object.fromEntries(Object.entries(result.gradients).map(([name, gradient]) => [goldenName(name), norm(values(gradient))])),
      expected.gradNorm,
    );
    compare(
      'keyProbe',
      mapValues(result.carry, (carried) => probe(carried, 4)),
      expected.probe,
    );
    optimizer.update(result.gradients, rate);
    method.settle(result.carry, inputs);
    method.advance(batch);
    tf.dispose([result, views, inputs]);

    Object.entries(expected.moved).forEach(([section, distances], i) =>
      compare(i === 0 ? 'paramMoved' : 'keyParamMoved', moved(method.sections[section], distances), distances),
    );
    const [trained] = Object.keys(expected.moved);
    for (const group of ['runningMeanNorm', 'runningVarNorm']) {
      const buffers = Object.keys(expected[group]).map((name) => [name, norm(values(method.sections[trained].get(name)))]);
      compare(group, Object.fromEntries(buffers), expected[group]);
    }
    onStep?.(step, loss);
  }

  const views = viewsOf(golden, 0, method.levels);
  const [first] = Object.values(views);
  // Of a view of several pictures, all of them one after the other.
  const images = first.reshape([-1, ...first.shape.slice(-3)]);
  const features = method.backbone.features(images);
  compare(
    'evalFeatures',
    mapValues(features, (f) => [norm(values(f)), ...probe(f, 8)]),
    mapValues(golden.evalFeatures, (f) => [f.norm, ...f.probe]),
  );
  tf.dispose([features, images, views, rate]);
  optimizer.dispose();
  method.dispose();
  return errors;
}

const EMPTY = new Float32Array(0);

/** The method as the golden file starts it: all networks, and the queues or banks beside them, rebuilt from their names. */
function startingMethod(engine, { method: name, options }) {
  const method = methodKind(name).create(engine, methodOptions({ name, ...options }), 0);
  const networks = Object.values(method.encoders);
  for (const [section, variables] of Object.entries(method.sections)) {
    for (const [tensor, variable] of variables) {
      if (/\.running_(mean|var)$/.test(tensor)) continue;
      const start = networks.includes(section) ? startOf(tensor, variable.shape) : detQueue(tensor, variable.shape);
      tf.tidy(() => variable.assign(tf.tensor(start, variable.shape, 'float32')));
    }
  }
  return method;
}

/** Of a parameter, in its TensorFlow.js layout. */
function startOf(name, shape) {
  const torchShape = toTorchLayout({ values: EMPTY, shape }).shape;
  // A tensor may keep what it is made of.
  return fromTorchLayout({ values: detParameter(goldenName(name), torchShape).slice(), shape: torchShape }).values;
}

/** The views of a step; of several ranks, this one's share. */
function viewsOf({ views, viewTags, seed }, step, levels = [], { rank, size } = { rank: 0, size: 1 }) {
  const view = ([name, [batch, ...rest]]) => {
    const all = (levels.includes(name) ? detLevels : detView)(`${viewTags[name] ?? name}.${step}.${seed}`, [batch, ...rest]);
    const length = all.length / size;
    return [name, tf.tensor(all.slice(rank * length, (rank + 1) * length), [batch / size, ...rest], 'float32')];
  };
  return Object.fromEntries(Object.entries(views).map(view));
}

/** What the file says of the images of a step; of several ranks, this one's share. */
function samplesOf({ samples, batch }, step, { rank, size }) {
  if (!samples) return {};
  const { ordinals, plans = {} } = samples[step];
  const share = (values) => {
    const length = values.length / size;
    return values.slice(rank * length, (rank + 1) * length);
  };
  if (ordinals && ordinals.length !== batch) throw new TypeError(`Not a golden file: ${ordinals.length} ordinals for a batch of ${batch}`);
  return { samples: { ...(ordinals && { ordinals: Int32Array.from(share(ordinals)) }), plans: mapValues(plans, share) } };
}

/** What a step gives, of all ranks. */
function meanOver(ranks, { loss, terms, gradients, ...rest }) {
  const mean = (tensors) => {
    const means = ranks.mean(Object.values(tensors));
    return Object.fromEntries(Object.keys(tensors).map((name, i) => [name, means[i]]));
  };
  return { ...rest, ...mean({ loss }), terms: mean(terms), gradients: mean(gradients) };
}

/** What the method makes for the step, with permutations and negatives that any language can rebuild in the place of its own. */
function inputsOf(method, at, { seed, ranks }) {
  const inputs = method.inputs(at);
  for (const name of Object.keys(inputs)) {
    const [, what] = /^(.*)Order$/.exec(name) ?? [];
    if (what === undefined) continue;
    const rebuilt = permutation(what, detPermutation(`${what}.${at.step}.${seed}`, at.batch), ranks);
    tf.dispose(Object.keys(rebuilt).map((part) => inputs[part]));
    Object.assign(inputs, rebuilt);
  }
  const { negatives } = inputs;
  if (negatives) {
    const [images] = method.sections.bank.get('entries').shape;
    inputs.negatives = tf.tensor1d(detOrdinals(`negatives.${at.step}.${seed}`, negatives.size, images), 'int32');
    negatives.dispose();
  }
  return inputs;
}

/** How far each of these parameters is from its start, L2, by golden name. */
function moved(section, expected) {
  const distances = {};
  for (const [name, variable] of section) {
    const golden = goldenName(name);
    if (!(golden in expected)) continue;
    const end = toTorchLayout({ values: values(variable), shape: variable.shape });
    distances[golden] = norm(end.values, detParameter(golden, end.shape));
  }
  return distances;
}

/** max |a - b| / (|b| + 0.02 largest |b|), over everything expected; infinite where a value is missing or not a number. */
function largestError(actual, expected) {
  const flat = (value) => (typeof value === 'number' ? [value] : [...value]);
  const largest = Math.max(...Object.values(expected).flatMap(flat).map(Math.abs));
  let worst = 0;
  for (const [name, wanted] of Object.entries(expected)) {
    const got = flat(actual[name] ?? []);
    for (const [i, b] of flat(wanted).entries()) {
      const difference = Math.abs((got[i] ?? Number.NaN) - b);
      const error = difference === 0 ? 0 : difference / (Math.abs(b) + 0.02 * largest);
      worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
    }
  }
  return worst;
}

/** L2 norm of a - b in float64. */
function norm(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - (b?.[i] ?? 0)) ** 2;
  return Math.sqrt(sum);
}

/** The first `columns` values of the first two rows. */
function probe(rows, columns) {
  const all = values(rows);
  const width = rows.shape[1] ?? 1;
  return [...all.slice(0, columns), ...all.slice(width, width + columns)];
}

function values(tensor) {
  return tensor.dataSync();
}

function mapValues(record, map) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
