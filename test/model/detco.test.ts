import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '#dist/engine/index.js';
import type { Engine, NamedTensors } from '#dist/engine/index.js';
import { type Method, methodKind, methodOptions } from '#dist/model/index.js';
import { permutation } from '#dist/model/network/shuffle-bn.js';
import { N, numbers, parametersOf, randomViews, settle, smallDetCo, straight, tensorsOf } from './small.js';

let engine: Engine;
let views: ReturnType<typeof randomViews>;
let identity: NamedTensors;
beforeAll(async () => {
  engine = await selectEngine('wasm');
  views = randomViews();
  identity = straight();
});
afterAll(() => engine.dispose());

function value(scalar: tf.Tensor | undefined): number {
  return scalar?.dataSync()[0] ?? Number.NaN;
}

function assign(method: Method, name: string, values: (now: Float32Array) => Float32Array): void {
  const variable = tensorsOf(method).get(name);
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
    const method = smallDetCo(engine);
    const { loss, terms, carry: keys, gradients } = method.step(views, identity);
    const weights = { res2: 0.1, res3: 0.4, res4: 0.7, res5: 1 };
    const sum = Object.entries(weights).flatMap(([level, w]) => ['gg', 'll', 'gl'].map((term) => w * value(terms[`${term}.${level}`])));
    expect(Object.keys(terms)).toHaveLength(12);
    expect(value(loss)).toBeCloseTo(
      sum.reduce((a, b) => a + b),
      4,
    );
    // key and query encoders start equal, so a query's embedding of the key view is the key: gg of equal views is InfoNCE(k, k)
    const again = smallDetCo(engine);
    const same = again.step({ ...views, globalQ: views.globalK, patchesQ: views.patchesK }, identity);
    for (const level of Object.keys(weights)) {
      const [g, l] = [keys[`global.${level}`], keys[`local.${level}`]] as [tf.Tensor2D, tf.Tensor2D];
      const queue = (kind: string) => tensorsOf(method).get(`queues.${kind}.${level}`) as tf.Variable<tf.Rank.R2>;
      expect(value(same.terms[`gg.${level}`])).toBeCloseTo(value(engine.infoNce(g, g, queue('global'), 0.2)), 4);
      expect(value(same.terms[`ll.${level}`])).toBeCloseTo(value(engine.infoNce(l, l, queue('local'), 0.2)), 4);
      expect(value(same.terms[`gl.${level}`])).toBeCloseTo(value(engine.infoNce(l, g, queue('global'), 0.2)), 4);
    }
    const shapes = (tensors: Iterable<readonly [string, tf.Tensor]>) =>
      Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
    expect(shapes(Object.entries(gradients))).toEqual(shapes(parametersOf(method)));
  });

  test('leaves no tensor behind, in a tidy or not', () => {
    const start = tf.memory().numTensors;
    const method = smallDetCo(engine, { bnGroups: 2 });
    const owned = tf.memory().numTensors;
    const run = (): void => {
      const result = method.step(views, identity);
      settle(method, result.carry);
      tf.dispose(result);
    };
    run();
    expect(tf.memory().numTensors).toBe(owned);
    tf.tidy(() => void method.step(views, identity));
    tf.dispose(method.backbone.features(views.globalQ));
    expect(tf.memory().numTensors).toBe(owned);
    method.dispose();
    expect(tf.memory().numTensors).toBe(start);
  });

  test('one along the negative gradient lowers the loss', () => {
    const method = smallDetCo(engine, { keyMomentum: 1 });
    const names = [...parametersOf(method).keys()];
    const parameters = [...parametersOf(method).values()];
    const velocities = parameters.map((p) => tf.variable(tf.zerosLike(p), false));
    const result = method.step(views, identity);
    const gradients = names.map((name) => result.gradients[name] as tf.Tensor);
    engine.sgd(parameters, gradients, velocities, { learningRate: tf.scalar(1e-3), momentum: 0, weightDecay: 0 });
    const squares = gradients.reduce((sum, g) => sum + value(tf.sum(tf.mul(g, g))), 0);
    const drop = value(result.loss) - value(method.step(views, identity).loss);
    expect(drop / (1e-3 * squares)).toBeGreaterThan(0.5);
    expect(drop / (1e-3 * squares)).toBeLessThan(1.5);
  });

  test('gives the features of the deepest level: of whole images, or the mean over the patches of each', () => {
    const whole = smallDetCo(engine, { levels: { res2: 1, res3: 1 }, terms: ['gg', 'll'] });
    expect({ stage: whole.featureStage, shape: whole.step(views, identity).features.shape }).toEqual({ stage: 'res3', shape: [N, 8] });
    const local = smallDetCo(engine, { terms: ['ll'] });
    const { features } = local.step(views, identity);
    expect({ stage: local.featureStage, shape: features.shape }).toEqual({ stage: 'res5', shape: [N, 32] });
    // All images alike, so that batch norm is of one image's nine patches whatever their number: so is the mean over them.
    const alike = tf.tile(tf.slice(views.patchesQ, 0, 1), [N, 1, 1, 1, 1]);
    const [first, ...others] = smallDetCo(engine, { terms: ['ll'] })
      .step({ ...views, patchesQ: alike }, identity)
      .features.arraySync();
    for (const other of others) other.forEach((x, at) => expect(x).toBeCloseTo(first?.[at] ?? Number.NaN, 5));
  });

  test('featureStd falls to zero when all images embed alike', () => {
    const spread = value(smallDetCo(engine).step(views, identity).featureStd);
    const alike = tf.tile(tf.slice(views.globalQ, 0, 1), [N, 1, 1, 1]);
    const collapsed = value(smallDetCo(engine).step({ ...views, globalQ: alike }, identity).featureStd);
    expect(spread).toBeGreaterThan(0.02);
    expect(collapsed).toBeLessThan(1e-4);
  });
});

describe('subsets', () => {
  const moco = (options: object) => methodKind('moco').create(engine, methodOptions({ ...small, ...options, name: 'moco' }), 1);
  const small = { arch: 'resnet18', width: 4, stem: 'small', hidden: 8, dim: 8, queueSize: 16, bnGroups: 1 } as const;

  /** Gives MoCo the weights and the queue of a DetCo with one level. */
  function copy(from: Method, to: Method): void {
    const source = tensorsOf(from);
    for (const [name, target] of tensorsOf(to))
      target.assign(source.get(name.replace('.head.', '.head.global.res5.').replace('queues.global', 'queues.global.res5')) as tf.Tensor);
  }

  test('MoCo v2 is the gg term of res5: same loss, keys and gradients as within DetCo', () => {
    const detco = smallDetCo(engine, { levels: { res2: 0.1, res5: 1 } });
    const v2 = moco({});
    copy(detco, v2);
    const [whole, part] = [detco.step(views, identity), v2.step({ globalQ: views.globalQ, globalK: views.globalK }, identity)];
    expect(value(part.loss)).toBeCloseTo(value(whole.terms['gg.res5']), 5);
    expectClose(
      { keys: [...(part.carry['global'] as tf.Tensor).dataSync()] },
      { keys: [...(whole.carry['global.res5'] as tf.Tensor).dataSync()] },
      5,
    );
    const expected = whole.gradients['head.global.res5.fc2.weight']?.dataSync();
    part.gradients['head.fc2.weight']?.dataSync().forEach((x, i) => expect(x).toBeCloseTo(expected?.[i] ?? Number.NaN, 5));
  });

  test('MoCo v1 has one linear layer for a head', () => {
    const v1 = moco({ head: 'linear', temperature: 0.07 });
    const heads = [...parametersOf(v1)].filter(([name]) => name.startsWith('head.'));
    expect(heads.map(([name, { shape }]) => [name, shape])).toEqual([
      ['head.fc1.weight', [32, 8]],
      ['head.fc1.bias', [8]],
    ]);
    const { loss, carry } = v1.step(views, identity);
    const queue = tensorsOf(v1).get('queues.global') as tf.Variable<tf.Rank.R2>;
    // The loss of the key view with itself, at this temperature.
    const key = carry['global'] as tf.Tensor2D;
    const same = moco({ head: 'linear', temperature: 0.07 }).step({ ...views, globalQ: views.globalK }, identity);
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
    const method = smallDetCo(engine, { terms: [...terms], levels: { res3: 1, res4: 2 } });
    const kinds = (names: Iterable<string>, pattern: RegExp) => [...new Set([...names].flatMap((name) => pattern.exec(name)?.[1] ?? []))];
    expect(kinds(parametersOf(method).keys(), /^head\.(\w+)/)).toEqual(trained);
    expect(kinds(tensorsOf(method).keys(), /^queues\.(\w+)/)).toEqual(queued);
    const { terms: losses, gradients, carry: keys, loss } = method.step(views, identity);
    expect(Object.keys(losses)).toEqual(method.terms);
    expect(Object.keys(losses).toSorted()).toEqual(terms.flatMap((term) => [`${term}.res3`, `${term}.res4`]).toSorted());
    expect(kinds(Object.keys(keys), /^(\w+)\./)).toEqual(queued);
    expect(value(loss)).toBeCloseTo(
      terms.reduce((sum, term) => sum + value(losses[`${term}.res3`]) + 2 * value(losses[`${term}.res4`]), 0),
      4,
    );
    // every trained parameter gets a gradient; those past the deepest level are not trained
    expect([...parametersOf(method).keys()].filter((name) => name.startsWith('layer4'))).toEqual([]);
    expect(tensorsOf(method).has('query.layer4.0.conv1.weight')).toBe(true);
    expect(Object.keys(gradients).toSorted()).toEqual([...parametersOf(method).keys()].toSorted());
    Object.values(gradients).forEach((gradient) => expect(value(tf.max(tf.abs(gradient)))).toBeGreaterThan(0));
  });

  test('a view that a term needs and does not get is named', () => {
    const { globalQ, globalK, patchesQ } = views;
    expect(() => smallDetCo(engine).step({ globalQ, globalK, patchesQ }, identity)).toThrow('"patchesK" is missing');
    expect(() => smallDetCo(engine, { terms: ['gl'] }).step({ globalQ, globalK }, identity)).toThrow('"patchesQ" is missing');
    const sixteen = tf.zeros<tf.Rank.R5>([N, 16, 12, 12, 3]);
    expect(() => smallDetCo(engine).step({ ...views, patchesK: sixteen }, identity)).toThrow(
      '"patchesK" is [4, 16, 12, 12, 3]; expected [N, 9, h, w, 3]',
    );
    expect(() => smallDetCo(engine, { bnGroups: 3 }).step(views, identity)).toThrow('method.bnGroups 3 does not divide batch 4');
    expect(() => smallDetCo(engine).step(views, permutation('global', Int32Array.of(0, 1)))).toThrow('global permutation has 2 entries');
  });
});

describe('the key encoder', () => {
  test('starts as a copy and moves before it encodes, over parameters and not buffers', () => {
    const method = smallDetCo(engine, { keyMomentum: 0.75 });
    assign(method, 'query.conv1.weight', (now) => now.map((x) => x + 0.4));
    assign(method, 'query.bn1.running_mean', (now) => now.map(() => 5));
    const moved = smallDetCo(engine, { keyMomentum: 1 });
    assign(moved, 'key.conv1.weight', (now) => now.map((x) => x + 0.1));
    const still = smallDetCo(engine, { keyMomentum: 1 });
    const [a, b, c] = [method, moved, still].map((m) => numbers(m.step(views, identity).carry)) as [
      Record<string, number[]>,
      Record<string, number[]>,
      Record<string, number[]>,
    ];
    expectClose(a, b, 3);
    expect(Math.abs((a['global.res5']?.[0] ?? 0) - (c['global.res5']?.[0] ?? 0))).toBeGreaterThan(1e-3);
    const start = tensorsOf(smallDetCo(engine)).get('key.conv1.weight')?.dataSync();
    tensorsOf(method)
      .get('key.conv1.weight')
      ?.dataSync()
      .forEach((x, i) => expect(x).toBeCloseTo((start?.[i] ?? Number.NaN) + 0.1, 5));
    tensorsOf(method)
      .get('key.bn1.running_mean')
      ?.dataSync()
      .forEach((x) => expect(Math.abs(x)).toBeLessThan(1));
  });

  test('ShuffleBN: rows go in permuted and come out in image order', () => {
    const order = { ...permutation('global', Int32Array.of(2, 0, 3, 1)), ...permutation('local', Int32Array.of(3, 2, 0, 1)) };
    const [globalOrder, localOrder] = [order['globalOrder'], order['localOrder']] as [tf.Tensor1D, tf.Tensor1D];
    const shuffled = smallDetCo(engine, { bnGroups: 2 }).step(views, order).carry;
    const permuted = smallDetCo(engine, { bnGroups: 2 }).step(
      { ...views, globalK: tf.gather(views.globalK, globalOrder), patchesK: tf.gather(views.patchesK, localOrder) },
      identity,
    ).carry;
    for (const [name, keys] of Object.entries(permuted)) {
      const rows = name.startsWith('global') ? globalOrder : localOrder;
      expectClose({ [name]: [...tf.gather(shuffled[name] as tf.Tensor, rows).dataSync()] }, { [name]: [...keys.dataSync()] }, 5);
    }
    // the groups differ, so the keys do too: batch norm saw other company
    const unshuffled = smallDetCo(engine, { bnGroups: 2 }).step(views, identity).carry;
    expect(value(tf.max(tf.abs(tf.sub(unshuffled['global.res5'] as tf.Tensor, shuffled['global.res5'] as tf.Tensor))))).toBeGreaterThan(
      1e-3,
    );
    // with one group a permutation changes nothing
    const [one, other] = [identity, order].map((permutations) => numbers(smallDetCo(engine).step(views, permutations).carry));
    expectClose(one ?? {}, other ?? {}, 4);
  });
});

describe('running statistics', () => {
  test('move by a tenth of each forward, global before patches, and serve eval mode image by image', () => {
    const method = smallDetCo(engine, { levels: { res2: 1 } });
    method.step(views, identity);
    const running = tensorsOf(method).get('query.bn1.running_mean')?.dataSync() ?? [];
    const kernel = parametersOf(method).get('conv1.weight') as tf.Tensor4D;
    const mean = (x: tf.Tensor4D) => tf.mean(tf.conv2d(x, kernel, 1, 1), [0, 1, 2]).dataSync();
    const [g, p] = [mean(views.globalQ), mean(tf.reshape(views.patchesQ, [9 * N, 12, 12, 3]))];
    running.forEach((x, i) => expect(x).toBeCloseTo(0.1 * 0.9 * (g[i] ?? 0) + 0.1 * (p[i] ?? 0), 5));
    const { res3 } = method.backbone.features(views.globalQ);
    const alone = method.backbone.features(tf.slice(views.globalQ, 1, 1)).res3;
    expect(res3.shape).toEqual([N, 8]);
    alone.dataSync().forEach((x, i) => expect(x).toBeCloseTo(res3.dataSync()[8 + i] ?? Number.NaN, 4));
  });
});

describe('queues', () => {
  test('start as unit-norm rows, take keys at the pointer and wrap', () => {
    const method = smallDetCo(engine, { levels: { res5: 1 }, queueSize: 8 });
    const queue = tensorsOf(method).get('queues.global.res5') as tf.Variable<tf.Rank.R2>;
    tf.norm(queue, 2, 1)
      .dataSync()
      .forEach((norm) => expect(norm).toBeCloseTo(1, 5));
    const start = [...queue.dataSync()];
    const { carry: keys } = method.step(views, identity);
    expect([...queue.dataSync()]).toEqual(start);
    const rows = [...(keys['global.res5'] as tf.Tensor).dataSync()];
    settle(method, keys);
    expect([...queue.dataSync()]).toEqual([...rows, ...start.slice(N * 8)]);
    expect(method.host['pointer']).toBe(N);
    settle(method, keys);
    expect([...queue.dataSync()]).toEqual([...rows, ...rows]);
    expect(method.host['pointer']).toBe(0);
  });

  test('refuse a batch that does not divide them, and a pointer outside', () => {
    const method = smallDetCo(engine, { queueSize: 10 });
    const { carry: keys } = method.step(views, identity);
    const pointer = tf.scalar(0, 'int32');
    expect(() => method.settle(keys, { pointer })).toThrow('4 keys at row 0 of a queue of 10');
    expect(() => method.advance(N)).toThrow('4 keys at row 0 of a queue of 10');
    expect(() => (method.host = { pointer: 10 })).toThrow('Queue pointer 10 is outside the queue: expected an integer from 0 to 9');
    expect(() => method.settle({}, { pointer })).toThrow('No keys for queue "global.res2"');
  });
});

describe('the seed', () => {
  test('fixes every tensor and every number of a step', () => {
    const all = (method: Method) => numbers(Object.fromEntries(tensorsOf(method)));
    expect(all(smallDetCo(engine, {}, 7))).toEqual(all(smallDetCo(engine, {}, 7)));
    const [a, b] = [7, 7].map((seed) => smallDetCo(engine, { bnGroups: 2 }, seed).step(views, identity));
    expect(value(a?.loss)).toBe(value(b?.loss));
    expect(numbers(a?.gradients ?? {})).toEqual(numbers(b?.gradients ?? {}));
    expect(value(smallDetCo(engine, {}, 8).step(views, identity).loss)).not.toBe(value(a?.loss));
  });

  test('does not tie the tensors of the two encoders: one changes, the other stays', () => {
    const method = smallDetCo(engine);
    assign(method, 'query.conv1.weight', (now) => now.map(() => 0));
    expect(value(tf.sum(tf.abs(tensorsOf(method).get('key.conv1.weight') as tf.Tensor)))).toBeGreaterThan(1);
  });
});
