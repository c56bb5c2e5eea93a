/**
 * Batch slots: shared memory for the views of one batch and a record of where each row came from.
 *
 *   [ view a: N x bytes | view b: N x bytes | ... | N records ]
 */
import { type Recipe, viewBytes, viewShape } from '../augment/recipe.js';
import type { BatchView, SampleInfo } from './batch.js';

/** Longest key that fits a record, bytes of UTF-8. */
export const MAX_KEY_BYTES = 992;
const RECORD_WORDS = 8;
const RECORD_BYTES = 4 * RECORD_WORDS + MAX_KEY_BYTES;
const NO_LABEL = -1;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a worker notes of a row. */
export interface RowRecord {
  readonly lane: number;
  /** Samples taken from the lane's stream up to and with this one. */
  readonly taken: number;
  /** Good ones among them. */
  readonly good: number;
  /** Ordinal of the shard. */
  readonly shard: number;
  readonly key: string;
  readonly label?: number | undefined;
}

interface ViewLayout {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly shape: readonly number[];
}

/** Bytes of one slot. */
export function slotBytes(recipe: Recipe, batchSize: number): number {
  return layout(recipe, batchSize).total;
}

function layout(recipe: Recipe, batchSize: number): { views: ViewLayout[]; records: number; total: number } {
  let offset = 0;
  const views = Object.entries(recipe.views).map(([name, view]) => {
    const placed = { name, offset, bytes: viewBytes(view), shape: viewShape(view) };
    offset += batchSize * placed.bytes;
    return placed;
  });
  const records = Math.ceil(offset / 4) * 4;
  return { views, records, total: records + batchSize * RECORD_BYTES };
}

/** One slot, as seen by a worker or by the consumer. */
export class Slot {
  readonly buffer: SharedArrayBuffer;
  readonly #views: readonly ViewLayout[];
  readonly #records: number;

  constructor(recipe: Recipe, batchSize: number, buffer?: SharedArrayBuffer) {
    const { views, records, total } = layout(recipe, batchSize);
    this.#views = views;
    this.#records = records;
    this.buffer = buffer ?? new SharedArrayBuffer(total);
  }

  /** The bytes of one row, by view. */
  row(row: number): Record<string, Uint8Array> {
    return Object.fromEntries(
      this.#views.map(({ name, offset, bytes }) => [name, new Uint8Array(this.buffer, offset + row * bytes, bytes)]),
    );
  }

  /** The first `rows` rows as the views of a batch. */
  batchViews(rows: number): Record<string, BatchView> {
    return Object.fromEntries(
      this.#views.map(({ name, offset, bytes, shape }) => [
        name,
        { data: new Uint8Array(this.buffer, offset, rows * bytes), shape: [rows, ...shape] },
      ]),
    );
  }

  writeRecord(row: number, record: RowRecord): void {
    const at = this.#records + row * RECORD_BYTES;
    const key = encoder.encode(record.key);
    const words = [record.lane, record.taken, record.good, record.shard, record.label ?? NO_LABEL, key.length];
    new Int32Array(this.buffer, at, RECORD_WORDS).set(words);
    new Uint8Array(this.buffer, at + 4 * RECORD_WORDS, MAX_KEY_BYTES).set(key);
  }

  readRecord(row: number): RowRecord {
    const at = this.#records + row * RECORD_BYTES;
    const [lane = 0, taken = 0, good = 0, shard = 0, label = NO_LABEL, length = 0] = new Int32Array(this.buffer, at, RECORD_WORDS);
    // TextDecoder refuses shared memory, hence the copy.
    const key = decoder.decode(new Uint8Array(this.buffer, at + 4 * RECORD_WORDS, length).slice());
    return { lane, taken, good, shard, key, label: label === NO_LABEL ? undefined : label };
  }
}

/** A row's record as the user sees it. */
export function sampleInfo(record: RowRecord, shards: readonly string[]): SampleInfo {
  const info = { shard: shards[record.shard] ?? '', key: record.key };
  return record.label === undefined ? info : { ...info, label: record.label };
}
