/** A consumer that only takes its time. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Takes the same time for every batch, on average: a timer that came late is made up for. */
export class Pace {
  readonly #stepMs: number;
  readonly #signal: AbortSignal | undefined;
  #late = 0;

  constructor(stepMs: number, signal?: AbortSignal) {
    this.#stepMs = stepMs;
    this.#signal = signal;
  }

  /** @throws the signal's reason */
  async step(): Promise<void> {
    const began = performance.now();
    const wanted = this.#stepMs - this.#late;
    if (wanted > 0) await this.#sleep(wanted);
    // More than a step's worth is the machine's doing, not the timer's.
    this.#late = Math.min(performance.now() - began - wanted, this.#stepMs);
  }

  /** Images a second when nothing is waited for. */
  async rate(batchSize: number, ms: number): Promise<number> {
    const began = performance.now();
    let images = 0;
    for (; performance.now() - began < ms; images += batchSize) await this.step();
    return (1000 * images) / (performance.now() - began);
  }

  async #sleep(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, this.#signal && { signal: this.#signal });
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw error;
    }
  }
}
