import type { Batch, PipelineState } from './batch.js';
import { type RowRecord, sampleInfo, type Slot } from './slots.js';

interface Leased {
  readonly slot: Slot;
  readonly records: readonly RowRecord[];
  /** State that the batch follows. */
  readonly before: PipelineState;
  /** The batch's own. */
  readonly after: PipelineState;
  readonly shards: readonly string[];
  /** The ordinal of each shard's first sample, where samples are numbered. */
  readonly firsts?: readonly number[];
  readonly draw: () => Batch['plans'];
  readonly giveBack: () => void;
}

/** A full slot while the consumer has it. */
export class Lease implements Batch {
  readonly epoch: number;
  readonly step: number;
  readonly size: number;
  readonly views: Batch['views'];
  readonly samples: Batch['samples'];
  readonly compressed?: NonNullable<Batch['compressed']>;
  readonly state: PipelineState;
  readonly #draw: () => Batch['plans'];
  #plans: Batch['plans'] | undefined;
  #giveBack: (() => void) | undefined;
  #retained = false;

  constructor({ slot, records, before, after, shards, firsts, draw, giveBack }: Leased) {
    this.epoch = before.epoch;
    this.step = before.step;
    this.size = records.length;
    this.views = slot.batchViews(records.length);
    this.samples = records.map((record, row) => sampleInfo(record, { shards, firsts }, slot.readFields(row)));
    const compressed = slot.readCompressed(records.length);
    if (compressed) this.compressed = compressed;
    this.state = after;
    this.#draw = draw;
    this.#giveBack = giveBack;
  }

  get plans(): Batch['plans'] {
    return (this.#plans ??= this.#draw());
  }

  retain(): void {
    this.#retained = true;
  }

  release(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }

  /** The consumer asks for the next batch. */
  endTurn(): void {
    if (!this.#retained) this.release();
  }
}
