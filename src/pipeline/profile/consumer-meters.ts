/** Times the consumer's side of the pipeline: how long it waits for a batch, and what it does between two. */
import { clock, type Meters, type ThreadMeters } from './meters.js';
import { STAGE } from './stages.js';

export class ConsumerMeters {
  readonly #meters: Meters;
  readonly #thread: ThreadMeters;
  #at = clock();
  #epoch = -1;

  constructor(meters: Meters, thread: number) {
    this.#meters = meters;
    this.#thread = meters.thread(thread);
  }

  /** The consumer asks for a batch. */
  asks(): void {
    const now = clock();
    // Before the first batch there is no step.
    if (this.#epoch >= 0) this.#add(STAGE.step, now);
    this.#at = now;
  }

  /**
   * The consumer gets one.
   * @param ready whether it was full when it was asked for
   * @param slot where it lies
   */
  gets({
    epoch,
    ready,
    slot,
    rows,
  }: {
    readonly epoch: number;
    readonly ready: boolean;
    readonly slot: number;
    readonly rows: number;
  }): void {
    const now = clock();
    const stage = epoch === this.#epoch ? STAGE.wait : STAGE.first;
    this.#epoch = epoch;
    if (ready) this.#thread.addReady(stage);
    else this.#thread.add(STAGE.handoff, Math.max(0, now - Math.max(this.#at, this.#meters.whenFull(slot))));
    this.#add(stage, now);
    this.#thread.addImages(rows);
    this.#at = now;
  }

  #add(stage: number, now: number): void {
    this.#thread.add(stage, now - this.#at);
    this.#thread.addSpan(stage, -1, this.#at, now - this.#at);
  }
}
