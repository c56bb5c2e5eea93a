/** The bank's entries and the losses against it, by numbers that a reader can compute. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { methodKind, type MethodInput, methodOptions } from '#dist/model/index.js';
import { BankLoss } from '#dist/model/network/bank-loss.js';
import { MemoryBank } from '#dist/model/network/memory-bank.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const ints = (...values: number[]) => tf.tensor1d(values, 'int32');
const rowsOf = (tensor: tf.Tensor) => (tensor as tf.Tensor2D).arraySync();

describe('a bank', () => {
  const places = (count: number) => tf.tensor1d(Array.from({ length: count }, (_, i) => i));

  test('has an entry of unit norm for each image, by the seed alone', () => {
    const [one, same, other] = [1, 1, 2].map((seed) => new MemoryBank(engine, { images: 5, dim: 3, momentum: 0.5 }, seed));
    expect(one?.entries.shape).toEqual([5, 3]);
    for (const row of rowsOf(one?.entries as tf.Variable)) expect(Math.hypot(...row)).toBeCloseTo(1, 6);
    expect(rowsOf(same?.entries as tf.Variable)).toEqual(rowsOf(one?.entries as tf.Variable));
    expect(rowsOf(other?.entries as tf.Variable)).not.toEqual(rowsOf(one?.entries as tf.Variable));
    for (const bank of [one, same, other]) bank?.dispose();
  });

  test('moves the entries of the images of a step, and no others', () => {
    const bank = new MemoryBank(engine, { images: 4, dim: 2, momentum: 0.25 }, 1);
    bank.entries.assign(
      tf.tensor2d([
        [1, 0],
        [0, 1],
        [1, 0],
        [0, -1],
      ]),
    );
    bank.update(
      tf.tensor2d([
        [0, 1],
        [1, 0],
      ]),
      ints(2, 1),
      places(2),
    );
    const [near, far] = [0.25, 0.75].map((part) => part / Math.hypot(0.25, 0.75)) as [number, number];
    const expected = [
      [1, 0],
      [far, near],
      [near, far],
      [0, -1],
    ];
    rowsOf(bank.entries).forEach((row, i) => row.forEach((value, j) => expect(value).toBeCloseTo(expected[i]?.[j] ?? NaN, 6)));
    bank.dispose();
  });

  test('takes the last embedding of an image that comes twice', () => {
    const bank = new MemoryBank(engine, { images: 3, dim: 2, momentum: 0 }, 1);
    bank.update(
      tf.tensor2d([
        [0, 1],
        [1, 0],
        [-1, 0],
        [0, -1],
      ]),
      ints(2, 0, 2, 0),
      places(4),
    );
    const rows = rowsOf(bank.entries);
    expect([rows[0], rows[2]]).toEqual([
      [0, -1],
      [-1, 0],
    ]);
    bank.dispose();
  });
});

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0);

describe('losses against a bank', () => {
  const TEMPERATURE = 0.5;
  const IMAGES = 10;
  const embeddings = [
    [0.6, 0.8],
    [1, 0],
  ];
  const positives = [
    [1, 0],
    [0, 1],
  ];
  const negatives = [
    [0, -1],
    [0.8, 0.6],
    [-1, 0],
  ];
  /** exp(v.f/tau), the positive's first. */
  const scores = embeddings.map((v, i) => [positives[i] ?? [], ...negatives].map((f) => Math.exp(dot(v, f) / TEMPERATURE)));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const nce = (Z: number) =>
    mean(
      scores.map(([own = NaN, ...others]) => {
        const h = (score: number) => score / Z / (score / Z + others.length / IMAGES);
        return -Math.log(h(own)) - others.reduce((sum, other) => sum + Math.log(1 - h(other)), 0);
      }),
    );
  const Z = IMAGES * mean(scores.flat());
  const v = () => tf.tensor2d(embeddings);
  const rows = () => ({ positives: tf.tensor2d(positives), negatives: tf.tensor2d(negatives) });

  test('nce has the Z of the first step, and keeps it', () => {
    const loss = new BankLoss(engine, { loss: 'nce', temperature: TEMPERATURE, images: IMAGES });
    const first = loss.of(v(), rows(), tf.scalar(1));
    expect(first.loss.dataSync()[0]).toBeCloseTo(nce(Z), 5);
    expect(first.logZ?.dataSync()[0]).toBeCloseTo(Math.log(Z), 5);
    loss.settle(first.logZ, tf.scalar(1));
    const flipped = { positives: tf.slice(rows().negatives, [1, 0]), negatives: rows().positives };
    const second = loss.of(v(), flipped, tf.scalar(0));
    expect(second.logZ?.dataSync()[0]).toBeCloseTo(Math.log(Z), 5);
    loss.settle(second.logZ, tf.scalar(0));
    expect(loss.of(v(), rows(), tf.scalar(0)).loss.dataSync()[0]).toBeCloseTo(nce(Z), 5);
    loss.dispose();
  });

  test('softmax is the cross-entropy of the positive', () => {
    const loss = new BankLoss(engine, { loss: 'softmax', temperature: TEMPERATURE, images: IMAGES });
    const expected = mean(scores.map((all) => -Math.log((all[0] ?? NaN) / all.reduce((sum, one) => sum + one, 0))));
    expect(loss.of(v(), rows(), tf.scalar(1)).loss.dataSync()[0]).toBeCloseTo(expected, 5);
    expect(loss.logZ).toBeUndefined();
  });
});

describe.each(['instdis', 'pirl'])('the bank of %s', (name) => {
  const kind = methodKind(name);
  const small = { name, arch: 'resnet18', width: 4, stem: 'small', dim: 8, negatives: 64 };
  const of = (given: object) => methodOptions({ ...small, ...given } as MethodInput);
  const options = of({});

  test('has as many entries as the data have images', () => {
    expect(kind.forImages?.(options, 7)).toEqual(of({ images: 7 }));
    expect(kind.forImages?.(of({ images: 9 }), 7)).toEqual(of({ images: 9 }));
    expect(() => kind.forImages?.(of({ images: 6 }), 7)).toThrow(
      /^method\.images 6: the shards hold 7 images, and the bank has an entry for each; start another run without method\.images/,
    );
    expect(() => kind.create(engine, options, 1)).toThrow('method.images is missing: expected how many images the data have');
  });

  test('is held against the memory, and negatives against the images', () => {
    const counted = of({ images: 1000 });
    expect(kind.excess?.(counted, { batch: 8, bytes: 31_999 })).toMatch(
      /^method\.images 1000: a bank of as many entries of 8 dimensions takes 32\.0 kB, .* use a smaller method\.dim, or fewer shards$/,
    );
    expect(kind.concern?.(options, { batch: 8, images: 64, estimated: false })).toBeUndefined();
    expect(kind.concern?.(options, { batch: 8, images: 63, estimated: false })).toBe(
      'negatives 64 is more than the 63 images of an epoch: a step has the same ones several times; use at most method.negatives 63',
    );
    expect(kind.concern?.(options, { batch: 8, images: 32, estimated: true })).toBeUndefined();
  });

  test('knows images by their ordinals, and draws negatives by the step', () => {
    const method = kind.create(engine, of({ images: 12 }), 1);
    const at = (step: number, ...ordinals: number[]) =>
      method.inputs({ step, progress: 0, batch: 2, samples: { ordinals: Int32Array.from(ordinals), plans: {} } });
    const negatives = [0, 0, 1].map((step) => Array.from(at(step, 3, 11)['negatives']?.dataSync() ?? []));
    expect(new Set(negatives[0]).size).toBe(12);
    expect(Math.max(...(negatives[0] ?? []))).toBe(11);
    expect(negatives[1]).toEqual(negatives[0]);
    expect(negatives[2]).not.toEqual(negatives[0]);
    expect(() => at(0, 3, 12)).toThrow('Image 12, counted from 0, has no entry in a bank of 12: expected the data that it was made for');
    expect(() => method.inputs({ step: 0, progress: 0, batch: 2 })).toThrow('The images have no ordinals');
    method.dispose();
  });
});
