/** How fast work goes, by what was done of late. */

/** What is older says little of the rate that work has by now; of long work the latter half counts. */
const WINDOW_MS = 30_000;
const WINDOW_SHARE = 0.5;
/** Marks in a window; those that would be closer to each other are one. */
const MARKS = 60;

interface Mark {
  readonly at: number;
  readonly done: number;
  readonly share: number;
}

export class Pace {
  readonly #marks: Mark[] = [];
  #began: number | undefined;

  /**
   * @param done so much of whatever is counted
   * @param share of all work that this is, 0..1; 0 where nobody knows
   * @param at milliseconds of a clock that is never set
   */
  add(done: number, share: number, at: number): void {
    this.#began ??= at;
    const window = Math.max(WINDOW_MS, WINDOW_SHARE * (at - this.#began));
    const marks = this.#marks;
    const before = marks.at(-2);
    if (before && at - before.at < window / MARKS) marks.pop();
    marks.push({ at, done, share });
    while (at - (marks[1]?.at ?? at) > window) marks.shift();
  }

  /** Of what is counted, each second; undefined where it is too early to say. */
  get perSecond(): number | undefined {
    return this.#perSecond(({ done }) => done);
  }

  /** Seconds that the rest will take; undefined where it is too early to say. */
  get secondsLeft(): number | undefined {
    const rate = this.#perSecond(({ share }) => share);
    const left = 1 - (this.#marks.at(-1)?.share ?? 0);
    return left === 0 ? 0 : rate === undefined ? undefined : left / rate;
  }

  #perSecond(of: (mark: Mark) => number): number | undefined {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (!first || !last || last.at === first.at) return undefined;
    const rate = (1000 * (of(last) - of(first))) / (last.at - first.at);
    return rate > 0 ? rate : undefined;
  }
}
