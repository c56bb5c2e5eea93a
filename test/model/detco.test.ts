import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine } from '#dist/engine/index.js';
import { permutation } from '#dist/model/index.js';
import type { ContrastiveMethod, KeyPermutations, StepViews } from '#dist/model/index.js';
import { enqueue, N, numbers, randomViews, smallMethod, straight } from './small.js';

let engine: Engine;
let views: Required<StepViews>;
let identity: Required<KeyPermutations>;
beforeAll(async () => {
  engine = await selectEngine('wasm');
  views = randomViews();
  identity = straight();
});
afterAll(() => engine.dispose());

function value(scalar: tf.Tensor | undefined): number {
  return scalar?.dataSync()[0] ?? Number.NaN;
}

function assign(method: ContrastiveMethod, name: string, values: (now: Float32Array) => Float32Array): void {
  const variable = method.tensors().get(name);
  if (!variable) throw new Error(`no tensor ${name}`);
  variable.assign(tf.tensor(values(variable.dataSync<'float32'>()), variable.shape));
}

/** Expects the same tensors with values within float32 rounding. */
function expectClose(actual: Record<string, number[]>, expected: Record<string, number[]>, digits = 4): void {
  expect(Object.keys(actual).toSorted()).toEqual(Object.keys(expected).toSorted());
  for (const [name, values] of Object.entries(expected)) values.forEach((x, i) => expect(actual[name]?.[i]).toBeCloseTo(x, digits));
}

describe('a step', () => {
  test('the loss is the weighted sum of twelve terms, each InfoNCE against the queue as it stands', () => {
    const method = smallMethod(engine);
    const { loss, terms, keys, gradients } = method.step(views, identity);
    const weights = { res2: 0.1, res3: 0.4, res4: 0.7, res5: 1 };
    const sum = Object.entries(weights).flatMap(([level, w]) => ['gg', 'll', 'gl'].map((term) => w * value(terms[`${term}.${level}`])));
    expect(Object.keys(terms)).toHaveLength(12);
    expect(value(loss)).toBeCloseTo(
      sum.reduce((a, b) => a + b),
      4,
    );
    // key and query encoders start equal, so a query's embedding of the key view is the key: gg of equal views is InfoNCE(k, k)
    const again = smallMethod(engine);
    const same = again.step({ ...views, globalQ: views.globalK, patchesQ: views.patchesK }, identity);
    for (const level of Object.keys(weights)) {
      const [g, l] = [keys[`global.${level}`], keys[`local.${level}`]] as [tf.Tensor2D, tf.Tensor2D];
      const queue = (kind: string) => method.tensors().get(`queue.${kind}.${level}`) as tf.Variable<tf.Rank.R2>;
      expect(value(same.terms[`gg.${level}`])).toBeCloseTo(value(engine.infoNce(g, g, queue('global'), 0.2)), 4);
      expect(value(same.terms[`ll.${level}`])).toBeCloseTo(value(engine.infoNce(l, l, queue('local'), 0.2)), 4);
      expect(value(same.terms[`gl.${level}`])).toBeCloseTo(value(engine.infoNce(l, g, queue('global'), 0.2)), 4);
    }
    gradients.forEach((gradient, i) => expect(gradient.shape).toEqual([...method.parameters.values()][i]?.shape));
  });

  test('leaves no tensor behind, in a tidy or not', () => {
    const start = tf.memory().numTensors;
    const method = smallMethod(engine, { bnGroups: 2 });
    const owned = tf.memory().numTensors;
    const run = (): void => {
      const result = method.step(views, identity);
      enqueue(method, result.keys);
      tf.dispose(result);
    };
    run();
    expect(tf.memory().numTensors).toBe(owned);
    tf.tidy(() => void method.step(views, identity));
    tf.dispose(method.features(views.globalQ));
    expect(tf.memory().numTensors).toBe(owned);
    method.dispose();
    expect(tf.memory().numTensors).toBe(start);
  });

  test('one along the negative gradient lowers the loss', () => {
    const method = smallMethod(engine, { keyMomentum: 1 });
    const parameters = [...method.parameters.values()];
    const velocities = parameters.map((p) => tf.variable(tf.zerosLike(p), false));
    const { loss, gradients } = method.step(views, identity);
    engine.sgd(parameters, gradients, velocities, { learningRate: tf.scalar(1e-3), momentum: 0, weightDecay: 0 });
    const squares = gradients.reduce((sum, g) => sum + value(tf.sum(tf.mul(g, g))), 0);
    const drop = value(loss) - value(method.step(views, identity).loss);
    expect(drop / (1e-3 * squares)).toBeGreaterThan(0.5);
    expect(drop / (1e-3 * squares)).toBeLessThan(1.5);
  });

  test('featureStd falls to zero when all images embed alike', () => {
    const spread = value(smallMethod(engine).step(views, identity).featureStd);
    const alike = tf.tile(tf.slice(views.globalQ, 0, 1), [N, 1, 1, 1]);
    const collapsed = value(smallMethod(engine).step({ ...views, globalQ: alike }, identity).featureStd);
    expect(spread).toBeGreaterThan(0.02);
    expect(collapsed).toBeLessThan(1e-4);
  });
});

describe('subsets', () => {
  test('MoCo v2 is the gg term of res5: same loss, keys and gradients as within DetCo', () => {
    const detco = smallMethod(engine, { levels: { res2: 0.1, res5: 1 } });
    const moco = smallMethod(engine, { levels: { res5: 1 }, terms: ['gg'] });
    const [whole, part] = [detco.step(views, identity), moco.step({ globalQ: views.globalQ, globalK: views.globalK }, identity)];
    expect(Object.keys(part.terms)).toEqual(['gg.res5']);
    expect(value(part.loss)).toBeCloseTo(value(whole.terms['gg.res5']), 5);
    expectClose(numbers(part.keys), { 'global.res5': [...(whole.keys['global.res5'] as tf.Tensor).dataSync()] }, 5);
    const head = 'head.global.res5.fc2.weight';
    const gradient = (method: ContrastiveMethod, gradients: readonly tf.Tensor[]) =>
      gradients[[...method.parameters.keys()].indexOf(head)]?.dataSync();
    const expected = gradient(detco, whole.gradients);
    gradient(moco, part.gradients)?.forEach((x, i) => expect(x).toBeCloseTo(expected?.[i] ?? Number.NaN, 5));
  });

  test('MoCo v1 has one linear layer a head', () => {
    const v1 = smallMethod(engine, { levels: { res5: 1 }, terms: ['gg'], head: 'linear', temperature: 0.07 });
    const heads = [...v1.parameters].filter(([name]) => name.startsWith('head.'));
    expect(heads.map(([name, { shape }]) => [name, shape])).toEqual([
      ['head.global.res5.fc1.weight', [32, 8]],
      ['head.global.res5.fc1.bias', [8]],
    ]);
    const { loss, keys } = v1.step(views, identity);
    const queue = v1.tensors().get('queue.global.res5') as tf.Variable<tf.Rank.R2>;
    // the gg term of the key view with itself, at this temperature
    const key = keys['global.res5'] as tf.Tensor2D;
    const same = smallMethod(engine, v1.options).step({ ...views, globalQ: views.globalK }, identity);
    expect(value(same.loss)).toBeCloseTo(value(engine.infoNce(key, key, queue, 0.07)), 4);
    expect(value(loss)).not.toBeCloseTo(value(same.loss), 2);
  });

  test.each([
    [['gg'], ['global'], ['global']],
    [['ll'], ['local'], ['local']],
    [['gl'], ['local'], ['global']],
    [['gg', 'gl'], ['global', 'local'], ['global']],
    [
      ['gg', 'll', 'gl'],
      ['global', 'local'],
      ['global', 'local'],
    ],
  ] as const)('terms %j train the heads %j and keep the queues %j', (terms, trained, queued) => {
    const method = smallMethod(engine, { terms: [...terms], levels: { res3: 1, res4: 2 } });
    const kinds = (names: Iterable<string>, pattern: RegExp) => [...new Set([...names].flatMap((name) => pattern.exec(name)?.[1] ?? []))];
    expect(kinds(method.parameters.keys(), /^head\.(\w+)/)).toEqual(trained);
    expect(kinds(method.tensors().keys(), /^queue\.(\w+)/)).toEqual(queued);
    const { terms: losses, gradients, keys, loss } = method.step(views, identity);
    expect(Object.keys(losses)).toEqual(method.termNames);
    expect(Object.keys(losses).toSorted()).toEqual(terms.flatMap((term) => [`${term}.res3`, `${term}.res4`]).toSorted());
    expect(kinds(Object.keys(keys), /^(\w+)\./)).toEqual(queued);
    expect(value(loss)).toBeCloseTo(
      terms.reduce((sum, term) => sum + value(losses[`${term}.res3`]) + 2 * value(losses[`${term}.res4`]), 0),
      4,
    );
    // every trained parameter gets a gradient; those past the deepest level are not trained
    expect([...method.parameters.keys()].filter((name) => name.startsWith('layer4'))).toEqual([]);
    expect(method.tensors().has('query.layer4.0.conv1.weight')).toBe(true);
    gradients.forEach((gradient) => expect(value(tf.max(tf.abs(gradient)))).toBeGreaterThan(0));
  });

  test('a view that a term needs and does not get is named', () => {
    const { globalQ, globalK, patchesQ } = views;
    expect(() => smallMethod(engine).step({ globalQ, globalK, patchesQ }, identity)).toThrow('"patchesK" is missing');
    expect(() => smallMethod(engine, { terms: ['gl'] }).step({ globalQ, globalK }, identity)).toThrow('"patchesQ" is missing');
    const sixteen = tf.zeros<tf.Rank.R5>([N, 16, 12, 12, 3]);
    expect(() => smallMethod(engine).step({ ...views, patchesK: sixteen }, identity)).toThrow(
      '"patchesK" is [4, 16, 12, 12, 3]; expected [N, 9, h, w, 3]',
    );
    expect(() => smallMethod(engine, { bnGroups: 3 }).step(views, identity)).toThrow('A batch of 4 does not divide into bnGroups = 3');
    expect(() => smallMethod(engine).step(views, { global: permutation(Int32Array.of(0, 1)) })).toThrow('global permutation has 2 entries');
  });
});

describe('the key encoder', () => {
  test('starts as a copy and moves before it encodes, over parameters and not buffers', () => {
    const method = smallMethod(engine, { keyMomentum: 0.75 });
    assign(method, 'query.conv1.weight', (now) => now.map((x) => x + 0.4));
    assign(method, 'query.bn1.running_mean', (now) => now.map(() => 5));
    const moved = smallMethod(engine, { keyMomentum: 1 });
    assign(moved, 'key.conv1.weight', (now) => now.map((x) => x + 0.1));
    const still = smallMethod(engine, { keyMomentum: 1 });
    const [a, b, c] = [method, moved, still].map((m) => numbers(m.step(views, identity).keys)) as [
      Record<string, number[]>,
      Record<string, number[]>,
      Record<string, number[]>,
    ];
    expectClose(a, b, 3);
    expect(Math.abs((a['global.res5']?.[0] ?? 0) - (c['global.res5']?.[0] ?? 0))).toBeGreaterThan(1e-3);
    const start = smallMethod(engine).tensors().get('key.conv1.weight')?.dataSync();
    method
      .tensors()
      .get('key.conv1.weight')
      ?.dataSync()
      .forEach((x, i) => expect(x).toBeCloseTo((start?.[i] ?? Number.NaN) + 0.1, 5));
    method
      .tensors()
      .get('key.bn1.running_mean')
      ?.dataSync()
      .forEach((x) => expect(Math.abs(x)).toBeLessThan(1));
  });

  test('ShuffleBN: rows go in permuted and come out in image order', () => {
    const order = { global: permutation(Int32Array.of(2, 0, 3, 1)), local: permutation(Int32Array.of(3, 2, 0, 1)) };
    const shuffled = smallMethod(engine, { bnGroups: 2 }).step(views, order).keys;
    const permuted = smallMethod(engine, { bnGroups: 2 }).step(
      { ...views, globalK: tf.gather(views.globalK, order.global.order), patchesK: tf.gather(views.patchesK, order.local.order) },
      identity,
    ).keys;
    for (const [name, keys] of Object.entries(permuted)) {
      const rows = order[name.startsWith('global') ? 'global' : 'local'].order;
      expectClose({ [name]: [...tf.gather(shuffled[name] as tf.Tensor, rows).dataSync()] }, { [name]: [...keys.dataSync()] }, 5);
    }
    // the groups differ, so the keys do too: batch norm saw other company
    const unshuffled = smallMethod(engine, { bnGroups: 2 }).step(views, identity).keys;
    expect(value(tf.max(tf.abs(tf.sub(unshuffled['global.res5'] as tf.Tensor, shuffled['global.res5'] as tf.Tensor))))).toBeGreaterThan(
      1e-3,
    );
    // with one group a permutation changes nothing
    const [one, other] = [identity, order].map((permutations) => numbers(smallMethod(engine).step(views, permutations).keys));
    expectClose(one ?? {}, other ?? {}, 4);
  });
});

describe('running statistics', () => {
  test('move by a tenth of each forward, global before patches, and serve eval mode image by image', () => {
    const method = smallMethod(engine, { levels: { res2: 1 } });
    method.step(views, identity);
    const running = method.tensors().get('query.bn1.running_mean')?.dataSync() ?? [];
    const kernel = method.parameters.get('conv1.weight') as tf.Tensor4D;
    const mean = (x: tf.Tensor4D) => tf.mean(tf.conv2d(x, kernel, 1, 1), [0, 1, 2]).dataSync();
    const [g, p] = [mean(views.globalQ), mean(tf.reshape(views.patchesQ, [9 * N, 12, 12, 3]))];
    running.forEach((x, i) => expect(x).toBeCloseTo(0.1 * 0.9 * (g[i] ?? 0) + 0.1 * (p[i] ?? 0), 5));
    const { res3 } = method.features(views.globalQ);
    const alone = method.features(tf.slice(views.globalQ, 1, 1)).res3;
    expect(res3.shape).toEqual([N, 8]);
    alone.dataSync().forEach((x, i) => expect(x).toBeCloseTo(res3.dataSync()[8 + i] ?? Number.NaN, 4));
  });
});

describe('queues', () => {
  test('start as unit-norm rows, take keys at the pointer and wrap', () => {
    const method = smallMethod(engine, { levels: { res5: 1 }, queueSize: 8 });
    const queue = method.tensors().get('queue.global.res5') as tf.Variable<tf.Rank.R2>;
    tf.norm(queue, 2, 1)
      .dataSync()
      .forEach((norm) => expect(norm).toBeCloseTo(1, 5));
    const start = [...queue.dataSync()];
    const { keys } = method.step(views, identity);
    expect([...queue.dataSync()]).toEqual(start);
    const rows = [...(keys['global.res5'] as tf.Tensor).dataSync()];
    enqueue(method, keys);
    expect([...queue.dataSync()]).toEqual([...rows, ...start.slice(N * 8)]);
    expect(method.queuePointer).toBe(N);
    enqueue(method, keys);
    expect([...queue.dataSync()]).toEqual([...rows, ...rows]);
    expect(method.queuePointer).toBe(0);
  });

  test('refuse a batch that does not divide them, and a pointer outside', () => {
    const method = smallMethod(engine, { queueSize: 10 });
    const { keys } = method.step(views, identity);
    const pointer = tf.scalar(0, 'int32');
    expect(() => method.enqueue(keys, pointer)).toThrow('4 keys at row 0 of a queue of 10');
    expect(() => method.advance(N)).toThrow('4 keys at row 0 of a queue of 10');
    expect(() => (method.queuePointer = 10)).toThrow('Queue pointer 10 is outside the queue: expected an integer from 0 to 9');
    expect(() => method.enqueue({}, pointer)).toThrow('No keys for queue "global.res2"');
  });
});

describe('the seed', () => {
  test('fixes every tensor and every number of a step', () => {
    const all = (method: ContrastiveMethod) => numbers(Object.fromEntries(method.tensors()));
    expect(all(smallMethod(engine, {}, 7))).toEqual(all(smallMethod(engine, {}, 7)));
    const [a, b] = [7, 7].map((seed) => smallMethod(engine, { bnGroups: 2 }, seed).step(views, identity));
    expect(value(a?.loss)).toBe(value(b?.loss));
    expect(a?.gradients.map((g) => g.dataSync())).toEqual(b?.gradients.map((g) => g.dataSync()));
    expect(value(smallMethod(engine, {}, 8).step(views, identity).loss)).not.toBe(value(a?.loss));
  });

  test('does not tie the tensors of the two encoders: one changes, the other stays', () => {
    const method = smallMethod(engine);
    assign(method, 'query.conv1.weight', (now) => now.map(() => 0));
    expect(value(tf.sum(tf.abs(method.tensors().get('key.conv1.weight') as tf.Tensor)))).toBeGreaterThan(1);
  });
});
