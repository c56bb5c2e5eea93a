/** Which patches of two views show the same. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { roiAlign } from '#dist/engine/operations/roi-align.js';
import type { DrawnView } from '#dist/model/index.js';
import { stepOverlaps } from '#dist/model/methods/patch-overlap.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

type Drawn = readonly [left: number, top: number, width: number, height: number, flipped?: boolean];
const VIEWS = ['globalQ', 'globalK'] as const;

const view = ([left, top, width, height, flipped = false]: Drawn): DrawnView => ({
  image: { width: 100, height: 80 },
  box: { left, top, width, height },
  flipped,
});

function overlaps(pairs: readonly (readonly [Drawn, Drawn])[]): Record<string, number[]> {
  const plans = { globalQ: pairs.map(([query]) => view(query)), globalK: pairs.map(([, key]) => view(key)) };
  const inputs = stepOverlaps({ step: 0, progress: 0, batch: pairs.length, samples: { plans } }, VIEWS);
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, [...tensor.dataSync()]]));
}

describe('the overlap of two views', () => {
  test('is where each shows it, from right to left in a mirrored one', () => {
    const { overlapQ, overlapK } = overlaps([
      [
        [0, 0, 50, 40],
        [25, 20, 50, 40, true],
      ],
    ]);
    expect(overlapQ).toEqual([0.5, 0.5, 1, 1]);
    expect(overlapK).toEqual([1, 0, 0.5, 0.5]);
  });

  test('is all of both where they are one', () => {
    const { overlapQ, overlapK } = overlaps([
      [
        [10, 20, 30, 40],
        [10, 20, 30, 40, true],
      ],
    ]);
    expect(overlapQ).toEqual([0, 0, 1, 1]);
    expect(overlapK).toEqual([1, 0, 0, 1]);
  });

  test('is nothing where they only touch: then other images stand in, in turn, and views are read whole', () => {
    const apart = [
      [0, 0, 50, 40],
      [50, 0, 50, 40, true],
    ] as const;
    const together = [
      [0, 0, 50, 40],
      [0, 0, 50, 40],
    ] as const;
    const { overlapQ, overlapK, sources } = overlaps([apart, together, apart, together, apart]);
    expect(sources).toEqual([1, 1, 1, 3, 1]);
    expect(overlapQ?.slice(0, 4)).toEqual([0, 0, 1, 1]);
    expect(overlapK?.slice(0, 4)).toEqual([0, 0, 1, 1]);
    expect(overlaps([apart, apart])['sources']).toEqual([0, 1]);
  });

  test('cannot be told without plans', () => {
    expect(() => stepOverlaps({ step: 0, progress: 0, batch: 1 }, VIEWS)).toThrow(
      'It is not known what the view "globalQ" was cut out of: expected at.samples.plans.globalQ, a box an image',
    );
  });
});

test('RoIAlign reads a box that is given from right to left so: its columns are those of the box in the other order', () => {
  tf.tidy(() => {
    const map: tf.Tensor4D = tf.randomUniform([1, 6, 6, 2], -1, 1, 'float32', 3);
    const options = { size: 3, stride: 4, samples: 2 };
    const aligned = (box: number[]) => roiAlign(map, tf.tensor2d([box]), options);
    const there = aligned([3, 5, 17, 20]);
    const back = tf.reverse(aligned([17, 5, 3, 20]), 2);
    const most = tf.max(tf.abs(tf.sub(there, back))).dataSync()[0];
    expect(most).toBeLessThan(1e-6);
    expect(tf.max(tf.abs(tf.sub(there, aligned([17, 5, 3, 20])))).dataSync()[0]).toBeGreaterThan(0.05);
  });
});
