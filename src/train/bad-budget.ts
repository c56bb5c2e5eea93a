/** How many bad samples several ranks may have together: as many as one process that reads what all of them read. */
import type { BadSamples } from '../pipeline/bad-samples.js';
import { DataError } from './data-error.js';

export class BadBudget {
  readonly #samples: BadSamples;
  readonly #about: { readonly shards: readonly string[]; readonly run: string };

  /** @param samples to which the bad ones of this rank are added */
  constructor(samples: BadSamples, about: { readonly shards: readonly string[]; readonly run: string }) {
    this.#samples = samples;
    this.#about = about;
  }

  /** Bad samples of this rank. */
  get own(): number {
    return this.#samples.count;
  }

  /**
   * To be called after each update, with the same numbers on all ranks.
   * @param images of the update
   * @param bad samples of all ranks so far
   * @returns what ends the run
   */
  after(images: number, bad: number): DataError | undefined {
    this.#samples.addGood(images);
    const problem = this.#samples.tooMany(bad);
    return problem && new DataError(problem, this.#about);
  }
}
