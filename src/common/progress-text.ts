/** How far work is, in words: `verify 640/~1248 samples (51 %)  213 samples/s  ETA 3s`. */
import { formatByteSize } from './byte-size.js';
import { formatDuration } from './duration.js';
import { Pace } from './pace.js';

export interface Progress {
  /** The piece of work at hand, where there are several; each has its own pace. */
  readonly work?: string;
  /** Done so far, of `total`; without a unit a total of 1 is a share of work that has no parts to count. */
  readonly done: number;
  /** Undefined where nobody knows. */
  readonly total?: number | undefined;
  /** Whether `total` is an estimate. */
  readonly estimated?: boolean;
  /** What is counted, such as `images`; `bytes` are told in MB and the like. */
  readonly unit?: string;
  /** Of the work that is done, 0..1, where it is not `done / total`. */
  readonly share?: number;
}

export class ProgressText {
  readonly #title: string;
  #work: string | undefined;
  #pace = new Pace();

  constructor(title: string) {
    this.#title = title;
  }

  /** @param at milliseconds of a clock that is never set */
  of(progress: Progress, at: number = performance.now()): { readonly text: string; readonly share: number } {
    const { work = this.#title, done, total, share = total ? Math.min(1, done / total) : 0 } = progress;
    if (work !== this.#work) [this.#work, this.#pace] = [work, new Pace()];
    this.#pace.add(done, share, at);
    const known = total !== undefined || progress.share !== undefined;
    const percent = `${Math.floor(100 * share)} %`;
    const parts = total !== 1 || progress.unit !== undefined;
    const far = parts ? `${countInWords(progress)}${known ? ` (${percent})` : ''}` : percent;
    const rate = parts ? this.#pace.perSecond : undefined;
    const { secondsLeft } = this.#pace;
    return {
      text: [
        `${work} ${far}`,
        ...(rate === undefined ? [] : [rateInWords(rate, progress.unit)]),
        ...(secondsLeft === 0 ? [] : [`ETA ${formatDuration(secondsLeft)}`]),
      ].join('  '),
      share,
    };
  }
}

function countInWords({ done, total, estimated = false, unit }: Progress): string {
  if (unit === 'bytes') return total === undefined ? formatByteSize(done) : `${formatByteSize(done)} of ${formatByteSize(total)}`;
  const of = total === undefined ? '' : `/${estimated ? '~' : ''}${Math.max(total, done)}`;
  return `${done}${of}${unit === undefined ? '' : ` ${unit}`}`;
}

function rateInWords(rate: number, unit: string | undefined): string {
  if (unit === 'bytes') return `${formatByteSize(rate)}/s`;
  const number = rate >= 100 ? rate.toFixed(0) : rate >= 10 ? rate.toFixed(1) : rate.toPrecision(2);
  return `${number}${unit === undefined ? '' : ` ${unit}`}/s`;
}
