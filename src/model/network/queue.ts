/** The queues of negative keys (MoCo; DetCo section 3.2: "individual memory bank for each layer"), one pointer for all. */
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Variable } from '@tensorflow/tfjs-core';
import type { Engine, NamedTensors } from '../../engine/engine.js';
import { Random, streamId } from '../../common/random.js';
import { fillNormal } from './parameters.js';

export class KeyQueues {
  /** By name, `global.res5`: [K, dim], unit-norm rows. */
  readonly tensors: ReadonlyMap<string, Variable<Rank.R2>>;
  readonly #engine: Engine;
  readonly #size: number;
  #pointer = 0;

  /** Random unit-norm keys, as MoCo's queues start. */
  constructor(engine: Engine, names: readonly string[], size: number, dim: number, seed: number) {
    this.#engine = engine;
    this.#size = size;
    this.tensors = new Map(
      names.map((name) => {
        const rows = tf.tensor2d(randomUnitRows(size, dim, new Random(seed, streamId('queue'), streamId(name))), [size, dim]);
        const queue = tf.variable(rows, false);
        rows.dispose();
        return [name, queue];
      }),
    );
  }

  /** The row that the next key goes to. */
  get pointer(): number {
    return this.#pointer;
  }

  set pointer(row: number) {
    if (!Number.isInteger(row) || row < 0 || row >= this.#size) {
      throw new RangeError(`Queue pointer ${row} is outside the queue: expected an integer from 0 to ${this.#size - 1}`);
    }
    this.#pointer = row;
  }

  /** What `enqueue` takes, of before the step. */
  pointerTensor(): Scalar {
    return tf.scalar(this.#pointer, 'int32');
  }

  get(name: string): Variable<Rank.R2> {
    const queue = this.tensors.get(name);
    if (!queue) throw new RangeError(`No queue "${name}"; the options give ${[...this.tensors.keys()].join(', ')}`);
    return queue;
  }

  /**
   * Replaces the oldest keys by these, [n, dim] a queue; n must divide the queue's size. Keys are not disposed.
   *
   * @param pointer `this.pointer` as a tensor, int32: what a step that is replayed reads. `advance` moves the other.
   */
  enqueue(keys: NamedTensors, pointer: Scalar): void {
    for (const [name, queue] of this.tensors) {
      const fresh = keys[name];
      if (!fresh) throw new RangeError(`No keys for queue "${name}"; got ${Object.keys(keys).join(', ')}`);
      this.#check(fresh.shape[0] ?? 0);
      this.#engine.enqueue(queue, fresh, pointer);
    }
  }

  /** Moves the pointer past the keys of a step. */
  advance(rows: number): void {
    this.#check(rows);
    this.#pointer = (this.#pointer + rows) % this.#size;
  }

  dispose(): void {
    for (const queue of this.tensors.values()) queue.dispose();
  }

  #check(rows: number): void {
    if (this.#size % rows === 0 && this.#pointer % rows === 0) return;
    throw new RangeError(
      `${rows} keys at row ${this.#pointer} of a queue of ${this.#size}: expected a global batch that divides the queue ` +
        `and does not change; choose queueSize as a multiple of the batch`,
    );
  }
}

/** Rows of normal numbers scaled to unit norm, row by row. */
export function randomUnitRows(rows: number, dim: number, random: Random): Float32Array {
  const values = fillNormal(new Float32Array(rows * dim), random, 1);
  for (let start = 0; start < values.length; start += dim) {
    const row = values.subarray(start, start + dim);
    const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < dim; i++) row[i] = (row[i] as number) / norm;
  }
  return values;
}
