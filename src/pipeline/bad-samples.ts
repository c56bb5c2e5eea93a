/** The samples of a run that were no good, and when there are too many of them. */
import { counted } from '../common/counted.js';
import { printable } from '../common/printable.js';
import type { BadSample } from './worker/lane.js';

/** Samples over which a share of bad ones is judged at the least, so that one at the start does not end a run. */
const FEWEST_JUDGED = 1000;

export class BadSamples {
  readonly #most: number;
  #good = 0;
  #bad = 0;
  #last: BadSample | undefined;

  /** @param most that there may be: a number of them, or below 1 a share of all samples */
  constructor(most: number) {
    this.#most = most;
  }

  /** How many were added. */
  get count(): number {
    return this.#bad;
  }

  /** @param count of the whole run, also where several processes share it */
  addGood(count: number): void {
    this.#good += count;
  }

  /** @returns what ends the run, when there are more than there may be */
  add(bad: BadSample): Error | undefined {
    this.#bad++;
    this.#last = bad;
    return this.tooMany();
  }

  /**
   * @param all bad samples of the run, where other processes have some too
   * @returns what ends the run, when there are more than there may be
   */
  tooMany(all = this.#bad): Error | undefined {
    const read = Math.max(all + this.#good, FEWEST_JUDGED);
    const most = this.#most < 1 ? Math.floor(this.#most * read) : this.#most;
    if (all <= most) return undefined;
    const last = this.#last && `; ${inWords(this.#last)}`;
    return new Error(`${counted(all, 'bad sample')}, more than maxBadSamples ${this.#most} allows${last ?? ''}`);
  }

  /** How many there are, and the last of them; undefined when there is none. */
  summary(): string | undefined {
    return this.#last && `${counted(this.#bad, 'bad sample')}, ${inWords(this.#last)}`;
  }
}

function inWords({ shard, key, offset, reason }: BadSample): string {
  return printable(`the last is ${key} at byte ${offset} of ${shard}: ${reason}`);
}
