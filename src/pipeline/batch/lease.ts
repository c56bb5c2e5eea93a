import type { Batch, PipelineState } from './batch.js';
import { type RowRecord, sampleInfo, type Slot } from './slots.js';

/** A full slot while the consumer has it. */
export class Lease implements Batch {
  readonly epoch: number;
  readonly step: number;
  readonly size: number;
  readonly views: Batch['views'];
  readonly samples: Batch['samples'];
  readonly state: PipelineState;
  #giveBack: (() => void) | undefined;
  #retained = false;

  /** @param before state that the batch follows; `after` is the batch's own */
  constructor(
    slot: Slot,
    records: readonly RowRecord[],
    before: PipelineState,
    after: PipelineState,
    shards: readonly string[],
    giveBack: () => void,
  ) {
    this.epoch = before.epoch;
    this.step = before.step;
    this.size = records.length;
    this.views = slot.batchViews(records.length);
    this.samples = records.map((record, row) => sampleInfo(record, shards, slot.readFields(row)));
    this.state = after;
    this.#giveBack = giveBack;
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
