/** What InsLoc is told of a step, and what the device makes of it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { type DrawnView, methodKind, methodOptions, type StepSamples } from '#dist/model/index.js';
import { anchors, jittered, overlap } from '#dist/model/network/anchors.js';
import { twiceAsLarge } from '#dist/model/network/fpn.js';
import { pasted, stepBackgrounds } from '#dist/model/network/paste.js';
import { Random } from '#dist/common/random.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const alone = { rank: 0, size: 1 };
const at = { step: 3, progress: 0, batch: 8 };

test('a crop is pasted with its own levels, and around it are those of the background', () => {
  tf.tidy(() => {
    const picture = (from: number) => tf.reshape(tf.range(from, from + 2 * 4 * 5 * 3), [2, 4, 5, 3]) as tf.Tensor4D;
    const boxes = [
      [1, 0, 4, 3],
      [0, 2, 5, 4],
    ];
    const made = pasted(picture(0.1), picture(1000.1), tf.tensor2d(boxes));
    const [front, back] = [picture(0.1).dataSync(), picture(1000.1).dataSync()];
    const expected = front.map((level, i) => {
      const [image, y, x] = [Math.floor(i / 60), Math.floor(i / 15) % 4, Math.floor(i / 3) % 5];
      const [left = 0, top = 0, right = 0, bottom = 0] = boxes[image] ?? [];
      return x >= left && x < right && y >= top && y < bottom ? level : (back[i] ?? Number.NaN);
    });
    expect(made.dataSync()).toEqual(expected);
  });
});

describe('backgrounds', () => {
  const places = (step: number, rows?: Int32Array, ranks = alone): number[] => {
    const tensor = stepBackgrounds(5, 'query', { ...at, step, ...(rows && { rows }) }, ranks);
    const values = [...tensor.dataSync()];
    tensor.dispose();
    return values;
  };

  test('are each used once, never by their own image, and others in each step', () => {
    for (let step = 0; step < 20; step++) {
      const drawn = places(step);
      expect(drawn.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(drawn.filter((place, i) => place === i)).toEqual([]);
    }
    expect(places(1)).not.toEqual(places(2));
    expect(places(1)).toEqual(places(1));
  });

  test('of two ranks are those of one, by the numbers of the images', () => {
    const rows = Int32Array.of(0, 2, 4, 6, 1, 3, 5, 7);
    const numbers = [0, 1].flatMap((rank) => places(4, rows, { rank, size: 2 })).map((place) => rows[place]);
    const one = places(4);
    expect(numbers).toEqual([...rows].map((image) => one[image]));
  });
});

describe('anchors', () => {
  test('lie in the picture, in the shapes and sizes of the source at 256 pixels', () => {
    const all = anchors(256);
    expect(all).toHaveLength(16 * 16 * 4 * 5);
    expect(all.flat().every((edge) => edge >= 0 && edge <= 256)).toBe(true);
    const whole = all.filter(([left, top, right, bottom]) => left === 64 && top === 64 && right === 192 && bottom === 192);
    expect(whole).toHaveLength(1);
  });

  test('that are taken overlap the box by half, all of them sooner or later', () => {
    const grid = anchors(64);
    const box = [10, 12, 50, 44] as const;
    const near = grid.filter((anchor) => overlap(anchor, box) >= 0.5);
    expect(near.length).toBeGreaterThan(10);
    const some = [...near, ...grid.slice(0, 50)];
    const random = new Random(2);
    const taken = new Set(Array.from({ length: 30 * near.length }, () => jittered(box, some, random)));
    expect([...taken].filter((anchor) => !near.includes(anchor))).toEqual([]);
    expect(taken.size).toBe(near.length);
  });

  test('are replaced by the box where none is near', () => {
    const box = [0, 0, 1, 64] as const;
    expect(jittered(box, anchors(64), new Random(1))).toBe(box);
  });
});

test.each([
  [4, 6],
  [3, 5],
])('a map of %d x %d is made of nearest neighbours of one half as large', (height, width) => {
  tf.tidy(() => {
    const [h, w] = [Math.ceil(height / 2), Math.ceil(width / 2)];
    const small = tf.reshape(tf.range(0, 2 * h * w * 3), [2, h, w, 3]) as tf.Tensor4D;
    const large = twiceAsLarge(small, [2, height, width, 3]);
    const rows = tf.gather(
      small,
      tf.tensor1d(
        Array.from({ length: height }, (_, y) => y >> 1),
        'int32',
      ),
      1,
    );
    const expected = tf.gather(
      rows,
      tf.tensor1d(
        Array.from({ length: width }, (_, x) => x >> 1),
        'int32',
      ),
      2,
    );
    expect(large.shape).toEqual([2, height, width, 3]);
    expect(large.dataSync()).toEqual(expected.dataSync());
  });
});

describe('the inputs of a step', () => {
  const plan = (i: number): DrawnView => ({
    image: { width: 60, height: 50 },
    box: { left: 0, top: 0, width: 60, height: 50 },
    flipped: false,
    placed: { canvas: 32, left: i, top: 2, width: 20, height: 24 },
  });
  const plans = Array.from({ length: 8 }, (_, i) => plan(i));
  const samples: StepSamples = { plans: { foregroundQ: plans, foregroundK: plans.toReversed() } };
  const narrow = { name: 'insloc', arch: 'resnet18', width: 4, dim: 8, queueSize: 16, bnGroups: 1 } as const;
  const method = (boxJitter: boolean) => {
    const options = methodOptions({ ...narrow, boxJitter });
    return methodKind('insloc').create(engine, options, 1);
  };

  test.each([false, true])('have the boxes of the crops, and near them the regions of the query; jitter: %s', (boxJitter) => {
    const one = method(boxJitter);
    tf.tidy(() => {
      const { boxesQ, boxesK, regionsQ } = one.inputs({ ...at, samples });
      const boxes = Array.from({ length: 8 }, (_, i) => [i, 2, i + 20, 26] as const);
      expect(boxesQ?.arraySync()).toEqual(boxes);
      expect(boxesK?.arraySync()).toEqual(boxes.toReversed());
      const regions = regionsQ?.arraySync() as [number, number, number, number][];
      if (boxJitter) expect(regions).not.toEqual(boxes);
      else expect(regions).toEqual(boxes);
      for (const [i, region] of regions.entries()) expect(overlap(region, boxes[i] ?? region)).toBeGreaterThanOrEqual(0.5);
    });
    one.dispose();
  });

  test('are refused where it is not known where a crop lies', () => {
    const one = method(false);
    const { placed: _, ...bare } = plan(0);
    expect(() => one.inputs(at)).toThrow('at.samples.plans.foregroundQ is missing');
    const unplaced: StepSamples = { plans: { foregroundQ: [bare], foregroundK: [bare] } };
    expect(() => one.inputs({ ...at, batch: 1, samples: unplaced })).toThrow('at.samples.plans.foregroundQ[0] has no "placed"');
    one.dispose();
  });
});

test.each([
  [{ form: 'c4', fpnChannels: 64 }, 8, 'method.fpnChannels 64 with method.form c4, which has no feature pyramid: leave it out'],
  [{ form: 'fpn' }, 1, 'batch 1: InsLoc pastes each image onto another of the batch; expected 2 or more'],
] as const)('options %j with batch %d are refused', (options, batch, message) => {
  const kind = methodKind('insloc');
  expect(() => kind.check?.(methodOptions({ name: 'insloc', queueSize: 16, ...options }), { batch, resumed: false })).toThrow(message);
});
