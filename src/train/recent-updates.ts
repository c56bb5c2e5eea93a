/** The updates that tell how fast a run is. */

/** The first prepares kernels, and the third is recorded on an engine that can (`Engine.compile`): they take several times as long as others. */
export const PREPARING = 3;
const RECENT = 20;

/** The last updates of this process, without those that prepared it as soon as there are others. */
export class RecentUpdates<Update> {
  readonly #updates: Update[] = [];
  #count = 0;

  add(update: Update): void {
    if (this.#count === 1 || this.#count === PREPARING) this.#updates.length = 0;
    this.#updates.push(update);
    if (this.#updates.length > RECENT) this.#updates.shift();
    this.#count++;
  }

  /** Whether there are others than those that prepared the process. */
  get prepared(): boolean {
    return this.#count > PREPARING;
  }

  /** The mean of what `of` gives for each, over those for which it gives something. */
  mean(of: (update: Update) => number | undefined): number | undefined {
    const values = this.#updates.map(of).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
  }
}
