/** Codes by Sinkhorn-Knopp against the same in float64, in the matrix itself and not in logarithms. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { Random } from '#dist/common/random.js';
import { type Engine, selectEngine } from '#dist/engine/index.js';
import { sinkhorn, type SinkhornOptions } from '#dist/model/network/sinkhorn.js';

let engine: Engine;
beforeAll(async () => {
  engine = await selectEngine('wasm');
});
afterAll(() => engine.dispose());

const PAPER: SinkhornOptions = { epsilon: 0.05, iterations: 3 };
const [ROWS, PROTOTYPES] = [24, 10];

type Matrix = readonly (readonly number[])[];

/** Cosines: of rows, with prototypes. */
function cosines(rows: number, prototypes: number): Matrix {
  const random = new Random(7);
  return Array.from({ length: rows }, () => Array.from({ length: prototypes }, () => 2 * random.uniform() - 1));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Algorithm 1 of the paper's appendix. */
function exact(scores: Matrix, { epsilon, iterations }: SinkhornOptions): Matrix {
  let q: Matrix = scores.map((row) => row.map((score) => Math.exp(score / epsilon)));
  const [rows, prototypes] = [scores.length, scores[0]?.length ?? 0];
  for (let iteration = 0; iteration < iterations; iteration++) {
    const shares = Array.from({ length: prototypes }, (_, k) => sum(q.map((row) => row[k] ?? NaN)));
    q = q.map((row) => row.map((value, k) => value / (shares[k] ?? NaN) / prototypes));
    q = q.map((row) => row.map((value) => value / sum(row) / rows));
  }
  return q.map((row) => row.map((value) => value * rows));
}

function codes(scores: Matrix, options: SinkhornOptions, inUse: readonly number[] = scores.map(() => 1)): Matrix {
  return tf.tidy(() => sinkhorn(tf.tensor2d(scores.map((row) => [...row])), tf.tensor1d([...inUse]), options).arraySync());
}

function expectClose(actual: Matrix, expected: Matrix): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, row] of expected.entries()) for (const [k, value] of row.entries()) expect(actual[i]?.[k]).toBeCloseTo(value, 5);
}

describe('codes', () => {
  const scores = cosines(ROWS, PROTOTYPES);

  test.each([PAPER, { epsilon: 0.05, iterations: 1 }, { epsilon: 0.5, iterations: 8 }])('%j: those in float64', (options) => {
    expectClose(codes(scores, options), exact(scores, options));
  });

  test('sum to 1, and over all rows to equal shares of the prototypes', () => {
    const found = codes(scores, { epsilon: 0.05, iterations: 300 });
    for (const row of found) expect(sum(row)).toBeCloseTo(1, 5);
    for (let k = 0; k < PROTOTYPES; k++) expect(sum(found.map((row) => row[k] ?? NaN))).toBeCloseTo(ROWS / PROTOTYPES, 3);
    // Cosines alone share out otherwise.
    const alone = exact(scores, { epsilon: 0.05, iterations: 0 });
    const shares = Array.from({ length: PROTOTYPES }, (_, k) => sum(alone.map((row) => (row[k] ?? NaN) / sum(row))));
    expect(Math.max(...shares.map((share) => Math.abs(share - ROWS / PROTOTYPES)))).toBeGreaterThan(0.5);
  });

  test('of rows in use do not depend on the others', () => {
    const queue = 16;
    const inUse = scores.map((_, row) => (row < queue ? 0 : 1));
    expectClose(codes(scores, PAPER, inUse).slice(queue), exact(scores.slice(queue), PAPER));
    for (const row of codes(scores, PAPER, inUse)) expect(sum(row)).toBeCloseTo(1, 5);
  });

  test('with an epsilon whose exponentials float32 does not hold: each its own prototype', () => {
    const [row, column] = [
      [1, -1],
      [-1, 1],
    ];
    expectClose(codes([row, column], { epsilon: 1e-3, iterations: 3 }), [
      [1, 0],
      [0, 1],
    ]);
  });
});
